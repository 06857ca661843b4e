//! Whom `user` names: an account and a group that there have to be, as nginx asks.
//!
//! Only who starts as root is asked; nginx passes over the directive else. Asks the system, which may ask others.

use nix::unistd::{Group, Uid, User};

use super::fault::Fault;
use super::tree::{Directive, Tree};

/// Whether there are the account and the group of `user`.
///
/// # Errors
/// nginx's sentence.
pub(super) fn found(tree: &Tree) -> Result<(), Fault> {
    let mut own = tree.directives.iter().filter(|own| own.is("user"));
    match own.next().filter(|_| Uid::effective().is_root()) {
        Some(own) => fault(own).map_or(Ok(()), |text| {
            let at = tree.at(own);
            Err(Fault { text, at })
        }),
        None => Ok(()),
    }
}

/// What nginx warns of where `user` changes nothing.
pub(super) fn warning(tree: &Tree) -> Option<Fault> {
    let mut own = tree.directives.iter().filter(|own| own.is("user"));
    let own = own.next().filter(|_| !Uid::effective().is_root())?;
    let text = "the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored";
    Some(Fault {
        text: text.to_owned(),
        at: tree.at(own),
    })
}

fn fault(own: &Directive) -> Option<String> {
    let user = own.argument(0);
    // What cannot be asked now is no reason: the unit says who runs hubgate.
    if matches!(User::from_name(&user), Ok(None)) {
        return Some(format!("getpwnam(\"{user}\") failed"));
    }
    let group = match own.arguments().get(1) {
        Some(group) => group.text(),
        None => user,
    };
    let missing = matches!(Group::from_name(&group), Ok(None));
    missing.then(|| format!("getgrnam(\"{group}\") failed"))
}
