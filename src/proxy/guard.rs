//! Asks a route's guard about a request before anything is done with it: whether there are too many, and who is let in.
//!
//! In nginx's order: rates, how many at once, addresses, the password. What is found is told in the event log in nginx's words, which
//! watchers of logs (fail2ban) look for. Only for routes that have a guard; a request waits here for its turn
//! and for slow hashes at most.

use http::Method;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, WWW_AUTHENTICATE};

use super::admit::while_there;
use super::client::Client;
use super::limited;
use super::sentences;
use super::trace::LimitedBy;
use super::values::Values;
use crate::access::passwords::{Credentials, Standing};
use crate::access::rules;
use crate::config::Need;
use crate::limits::concurrency::Place;
use crate::observe::access_log::sentence::quoted;
use crate::observe::cause::Cause;
use crate::snapshot::RunningRoute;
use crate::snapshot::guard::{Entry, Guard};

/// Why a request is not let in, and what its answer says besides.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) cause: Cause,
    /// In place of the cause's.
    pub(super) status: Option<u16>,
    /// How to ask for a password.
    pub(super) field: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn of(cause: Cause) -> Self {
        Self {
            cause,
            status: None,
            field: None,
        }
    }

    /// The status of its answer.
    pub(super) fn answers(&self) -> u16 {
        self.status.unwrap_or(self.cause.status())
    }
}

/// What has to be known of a request before the client itself is waited for.
pub(super) struct Asking {
    /// How its sentences in the log end.
    pub(super) told: String,
    /// Its connection's number.
    pub(super) connection: u64,
    pub(super) limits: limited::Asking,
    by_address: Option<bool>,
    credentials: Option<Credentials>,
    realm: Option<HeaderValue>,
    /// Whether the realm says that nobody is asked for a password.
    open: bool,
}

impl Asking {
    /// Of the request of `client`.
    pub(super) fn of(
        guard: &Guard,
        route: &RunningRoute,
        method: &Method,
        values: &Values<'_>,
    ) -> Self {
        let mut asking = Self {
            told: sentences::told(values, "", &route.config.access_log.redact).to_string(),
            connection: values.facts.number,
            limits: limited::Asking::of(guard.limits.as_ref(), values),
            by_address: None,
            credentials: None,
            realm: None,
            open: false,
        };
        let Some(entry) = guard.entry(method) else {
            return asking;
        };
        let on_unix_socket = values.on_unix_socket();
        asking.by_address = rules::verdict(&entry.config.rules, values.client, on_unix_socket);
        if let Some(basic) = &entry.config.basic {
            let shown = values.fields.get(AUTHORIZATION);
            asking.credentials = shown.and_then(|shown| Credentials::of(shown.as_bytes()));
            let realm = basic.realm.value(values);
            asking.open = &*realm == b"off" && basic.realm.as_constant().is_none();
            let realm = [b"Basic realm=\"", &*realm, b"\""].concat();
            asking.realm = HeaderValue::from_bytes(&realm).ok();
        }
        asking
    }
}

/// What is left to do for a request that the guard has nothing against.
pub(super) enum Next {
    /// It goes on.
    In,
    /// Another route is asked; if that refuses it, this counts, where it asks for a password.
    Ask(Option<Refusal>),
}

/// Whether the request of `client` goes on, and what it takes of limits until it is over. One that was `counted` on another
/// route is not limited again.
pub(super) async fn admit(
    guard: &Guard,
    asking: &Asking,
    client: &mut Client,
    (counted, said): (bool, &mut LimitedBy),
) -> Result<(Vec<Place>, Next), Refusal> {
    let places = match &guard.limits {
        Some(limited) if !counted => limited::admit(limited, asking, client, said).await?,
        _ => Vec::new(),
    };
    let next = match guard.entry(&client.head().method) {
        Some(entry) => let_in(entry, asking, client).await?,
        None => Next::In,
    };
    Ok((places, next))
}

async fn let_in(entry: &Entry, asking: &Asking, client: &mut Client) -> Result<Next, Refusal> {
    let any = entry.config.need == Need::Any;
    let mut refused = None;
    match asking.by_address {
        Some(true) if any => return Ok(Next::In),
        Some(false) => {
            let refusal = Refusal::of(Cause::AccessDenied);
            if !any {
                forbidden(asking);
                return Err(refusal);
            }
            refused = Some(refusal);
        }
        _ => {}
    }
    if entry.passwords.is_some() && !asking.open {
        match by_password(entry, asking, client).await {
            Ok(()) if any => return Ok(Next::In),
            Ok(()) => {}
            // That something else is wrong counts for more than that an address is.
            Err(refusal) => refused = Some(refusal),
        }
    }
    let asks = entry.config.ask.is_some();
    match refused {
        refused if asks && any => Ok(Next::Ask(refused)),
        None if asks => Ok(Next::Ask(None)),
        None => Ok(Next::In),
        Some(refusal) => {
            if refusal.cause == Cause::AccessDenied {
                forbidden(asking);
            }
            Err(refusal)
        }
    }
}

fn forbidden(asking: &Asking) {
    let told = &asking.told;
    tracing::error!(
        event = "access.denied",
        connection = asking.connection,
        "access forbidden by rule{told}"
    );
}

async fn by_password(entry: &Entry, asking: &Asking, client: &mut Client) -> Result<(), Refusal> {
    let Some(passwords) = &entry.passwords else {
        return Ok(());
    };
    let told = &asking.told;
    let ask = |cause: Cause| Refusal {
        cause,
        status: None,
        field: asking.realm.clone().map(|realm| (WWW_AUTHENTICATE, realm)),
    };
    let Some(shown) = &asking.credentials else {
        // nginx tells of it, too, and no louder.
        tracing::info!(
            event = "access.password.missing",
            connection = asking.connection,
            "no user/password was provided for basic authentication{told}"
        );
        return Err(ask(Cause::PasswordMissing));
    };
    let looked = while_there(client, passwords.look(shown)).await;
    let user = quoted(&shown.user);
    match looked {
        None => Err(Refusal::of(Cause::ClientGone)),
        Some(Standing::Right) => Ok(()),
        Some(Standing::Wrong) => {
            tracing::error!(
                event = "access.password.wrong",
                connection = asking.connection,
                "user \"{user}\": password mismatch{told}"
            );
            Err(ask(Cause::PasswordWrong))
        }
        Some(Standing::Stranger) => {
            let file = passwords.path().display();
            tracing::error!(
                event = "access.password.wrong",
                connection = asking.connection,
                "user \"{user}\" was not found in \"{file}\"{told}"
            );
            Err(ask(Cause::PasswordWrong))
        }
        Some(Standing::Busy) => Err(Refusal::of(Cause::PasswordsBusy)),
        Some(Standing::Unreadable(unreadable)) => {
            let file = passwords.path().display();
            tracing::error!(
                event = "access.passwords.unreadable",
                connection = asking.connection,
                "\"{file}\" cannot be read{told}"
            );
            // As nginx: a file that is not there lets nobody in, one that cannot be read is a fault.
            let status = unreadable.missing.then_some(403);
            Err(Refusal {
                status,
                ..Refusal::of(Cause::PasswordsUnreadable)
            })
        }
    }
}
