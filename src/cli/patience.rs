//! Asks the running process for what may have to wait for something else there, as a reload does for an upgrade.
//!
//! It is waited for as long as the process answers other questions within [`SIGN`], at most [`LONGEST`]: who waits is told
//! once what for.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, sleep, timeout};

use super::client::{self, Answer, Failure};
use super::{Door, socket};
use crate::admin::StatusReport;

/// Until whoever waits is told so.
const SOON: Duration = Duration::from_secs(2);
/// Between two questions whether the process is there.
const EVERY: Duration = Duration::from_secs(5);
/// For an answer to them. A process at the end of an upgrade may be silent for 12 s.
const SIGN: Duration = Duration::from_secs(20);
/// For all of it: longer than `server.upgrade_timeout` can be, and the process ends connections then.
const LONGEST: Duration = Duration::from_secs(690);

/// Sends `method` `target`; `waits` is called once with the status of a process that takes its time.
pub(super) fn ask(
    door: &Door,
    method: Method,
    target: &str,
    waits: impl Fn(&StatusReport),
) -> Result<Answer, Failure> {
    let found = socket::find(door).map_err(client::unfound)?;
    client::runtime()?.block_on(async {
        let begun = Instant::now();
        let mut answer = pin!(client::exchange(&found.path, method, target));
        let mut told = false;
        loop {
            let pause = if told { EVERY } else { SOON };
            let sign = async {
                sleep(pause).await;
                sign(&found.path).await
            };
            let sign = tokio::select! {
                answer = &mut answer => {
                    return answer.map_err(|error| client::unreached(&found, &error));
                }
                sign = sign => sign,
            };
            match sign {
                Ok(status) if begun.elapsed() < LONGEST => {
                    if let Some(status) = status.filter(|_| !told) {
                        waits(&status);
                    }
                    told = true;
                }
                _ => return Err(client::late(&found, begun.elapsed())),
            }
        }
    })
}

/// Whether the process is there, and what it says of itself, if that is understood here.
async fn sign(path: &Path) -> io::Result<Option<StatusReport>> {
    let asked = client::exchange(path, Method::GET, "/status");
    let answer = timeout(SIGN, asked).await??;
    Ok(serde_json::from_str(&answer.body).ok())
}
