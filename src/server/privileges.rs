//! From root to another account: `server.user` and `server.group`, before the first thread is started; `server.worker_user`
//! and `server.worker_group` for the threads that serve, each for itself.
//!
//! What is left is the right to listen on ports below 1024, here and in a successor. Folders of the state and of the admin
//! socket are made for the account where they are missing; those that are there are left as they are. Invariant: every
//! thread has the account and the rights of the first one, which is the only one when they are dropped.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};
use rustix::thread::{
    CapabilitySet, CapabilitySets, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::start_error::{StartError, unavailable};
use crate::config::Config;

/// All that is kept.
const KEPT: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;

/// An account to run as.
#[derive(Clone, Debug)]
pub(super) struct Account {
    name: String,
    user: Uid,
    group: Gid,
}

/// Becomes the account that the configuration names, if it names one.
pub(super) fn drop_to_account(config: &Config) -> Result<(), StartError> {
    let Some(account) = account(config)? else {
        return Ok(());
    };
    if Uid::effective() == account.user && Gid::effective() == account.group {
        return Ok(());
    }
    if !Uid::effective().is_root() {
        return Err(StartError::Unavailable(format!(
            "error: only root can run as `{}`\nhint: leave `server.user` out where the service manager sets the account\n",
            account.name
        )));
    }
    let failed = |error: io::Error| unavailable("cannot become another account", &error);
    let socket = config.admin.socket.parent();
    for (folder, mode) in [(Some(&*config.server.state_dir), 0o700), (socket, 0o755)] {
        if let Some(folder) = folder.filter(|folder| !folder.exists()) {
            make_for(&account, folder, mode).map_err(failed)?;
        }
    }
    become_account(&account).map_err(failed)
}

fn account(config: &Config) -> Result<Option<Account>, StartError> {
    let server = &config.server;
    named(("user", &server.user), ("group", &server.group))
}

/// Whom the threads that serve become: nobody else where the process is not root's, or they are to be root's.
pub(super) fn of_workers(config: &Config) -> Result<Option<Account>, StartError> {
    let server = &config.server;
    let user = ("worker_user", &server.worker_user);
    let account = named(user, ("worker_group", &server.worker_group))?;
    Ok(account.filter(|own| Uid::effective().is_root() && !own.user.is_root()))
}

fn named(
    (user_key, user): (&str, &Option<String>),
    (group_key, group): (&str, &Option<String>),
) -> Result<Option<Account>, StartError> {
    let unknown = |key: &str, kind: &str, name: &str| {
        StartError::Refused(format!(
            "error: `server.{key}`: there is no {kind} `{name}`\nhint: `getent passwd` and `getent group` list who there is\n"
        ))
    };
    let Some(name) = user else {
        return match group {
            Some(_) => Err(StartError::Refused(format!(
                "error: `server.{group_key}` goes with `server.{user_key}`\n"
            ))),
            None => Ok(None),
        };
    };
    let user = User::from_name(name).ok().flatten();
    let user = user.ok_or_else(|| unknown(user_key, "user", name))?;
    let group = match group {
        None => user.gid,
        Some(name) => {
            let group = Group::from_name(name).ok().flatten();
            group.ok_or_else(|| unknown(group_key, "group", name))?.gid
        }
    };
    Ok(Some(Account {
        name: name.clone(),
        user: user.uid,
        group,
    }))
}

impl Account {
    /// Makes the calling thread the account's, without any right of root's; those that it starts are so, too. The others
    /// stay what they are.
    pub(super) fn enter_thread(&self) -> io::Result<()> {
        let name = std::ffi::CString::new(self.name.as_str())?;
        let groups = nix::unistd::getgrouplist(&name, self.group)?;
        let groups: Vec<_> = groups.iter().map(|own| group_of(*own)).collect();
        set_thread_groups(&groups)?;
        let group = group_of(self.group);
        set_thread_res_gid(group, group, group)?;
        let user = rustix::process::Uid::from_raw(self.user.as_raw());
        Ok(set_thread_res_uid(user, user, user)?)
    }
}

fn group_of(group: Gid) -> rustix::process::Gid {
    rustix::process::Gid::from_raw(group.as_raw())
}

fn make_for(account: &Account, folder: &Path, mode: u32) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(mode).create(folder)?;
    let (user, group) = (account.user.as_raw(), account.group.as_raw());
    chown(folder, Some(user), Some(group))
}

/// The C library changes the ids in every thread; capabilities are the calling thread's, which is the only one.
fn become_account(account: &Account) -> io::Result<()> {
    for capability in CapabilitySet::all().difference(KEPT).iter() {
        // Those that this kernel does not know are not there.
        match remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    set_keep_capabilities(true)?;
    let name = std::ffi::CString::new(account.name.as_str())?;
    nix::unistd::initgroups(&name, account.group)?;
    nix::unistd::setresgid(account.group, account.group, account.group)?;
    nix::unistd::setresuid(account.user, account.user, account.user)?;
    let sets = CapabilitySets {
        effective: KEPT,
        permitted: KEPT,
        inheritable: KEPT,
    };
    set_capabilities(None, sets)?;
    set_keep_capabilities(false)?;
    // A successor is to have it too.
    configure_capability_in_ambient_set(KEPT, true)?;
    Ok(set_no_new_privs(true)?)
}
