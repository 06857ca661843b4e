//! Knows a request by which somebody waits for a server of theirs to start.
//!
//! By the route's preset and the path below the route: BinderHub's `build/` stream and `v2/` page, JupyterHub's `hub/spawn`
//! pages and the progress of a spawn.
#![deny(clippy::disallowed_methods)]

use crate::config::{Preset, Route};
use crate::router::target;

/// Whether a request for `raw_target` on `route` is part of a launch.
pub fn is_launch(route: &Route, raw_target: &[u8]) -> bool {
    let (path, _) = target::path_of(raw_target);
    let Some(preset) = route.preset else {
        return false;
    };
    let base = route.path.path().unwrap_or_default();
    let base = base.trim_end_matches('/').as_bytes();
    let Some(below) = path
        .strip_prefix(base)
        .and_then(|rest| rest.strip_prefix(b"/"))
    else {
        return false;
    };
    let begins = |with: &[u8]| below.starts_with(with);
    match preset {
        Preset::BinderHub => begins(b"build/") || begins(b"v2/"),
        Preset::JupyterHub => {
            let spawn = begins(b"hub/spawn") && matches!(below.get(9), None | Some(b'/' | b'-'));
            let api = begins(b"hub/api/users/");
            spawn || (api && has(below, b"/server"))
        }
    }
}

fn has(path: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(path, part).is_some()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Source, parse};

    fn route(preset: &str) -> Arc<Route> {
        let toml = format!(
            "[[site.\"a.example\".route]]\npath = \"/x/\"\n{preset}\nupstream = \"u\"\n[upstream.u]\nendpoints = [\"192.0.2.1:80\"]\n"
        );
        let config = parse(&Source::new("c.toml", "/etc", toml)).unwrap().config;
        config.sites[0].routes[0].clone()
    }

    #[test]
    fn launches_are_known_by_preset_and_path() {
        let hub = route("preset = \"jupyterhub\"");
        let binder = route("preset = \"binderhub\"");
        for (route, target, wanted) in [
            (&hub, "/x/hub/spawn", true),
            (&hub, "/x/hub/spawn-pending/ada?x", true),
            (&hub, "/x/hub/spawn/ada/name", true),
            (&hub, "/x/hub/spawned", false),
            (&hub, "/x/hub/api/users/ada/server", true),
            (&hub, "/x/hub/api/users/ada/server/progress", true),
            (&hub, "/x/hub/api/users/ada", false),
            (&hub, "/x/user/ada/lab", false),
            (&binder, "/x/build/gh/a/b/HEAD?build_token=t", true),
            (&binder, "/x/v2/gh/a/b/HEAD", true),
            (&binder, "/x/health", false),
            (&binder, "/build/gh/a/b/HEAD", false),
            (&route(""), "/x/build/gh/a/b/HEAD", false),
        ] {
            assert_eq!(is_launch(route, target.as_bytes()), wanted, "{target}");
        }
    }
}
