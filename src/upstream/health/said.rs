//! What BinderHub's `/health` says is wrong.
//!
//! `{"ok": false, "checks": [{"service": "Docker registry", "ok": false}, ..]}`, with 503 or, from proxies in between,
//! with another status. JupyterHub's `/hub/health` says nothing: its status is all. Pure.
#![deny(clippy::disallowed_methods)]

use serde::Deserialize;

/// Longer names and more of them are cut: they go into logs.
const MOST_NAME: usize = 60;
const MOST_NAMES: usize = 5;

#[derive(Deserialize)]
struct Said {
    ok: bool,
    #[serde(default)]
    checks: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    service: String,
    #[serde(default)]
    ok: Option<bool>,
}

/// What is not ok, in words; `None` when the body says nothing of it.
pub(super) fn said(body: &[u8]) -> Option<String> {
    let said: Said = serde_json::from_slice(body).ok()?;
    if said.ok {
        return None;
    }
    let failed = said.checks.iter().filter(|part| part.ok == Some(false));
    let names: Vec<String> = failed.take(MOST_NAMES).map(Part::name).collect();
    Some(match &*names {
        [] => "it is not ok".to_owned(),
        [one] => format!("{one} is not ok"),
        several => format!("{} are not ok", several.join(", ")),
    })
}

impl Part {
    fn name(&self) -> String {
        let plain = self.service.chars().filter(|c| !c.is_control());
        let name: String = plain.take(MOST_NAME).collect();
        if name.is_empty() {
            "a service".to_owned()
        } else {
            name
        }
    }
}
