//! Another program takes over without a lost connection: sockets, then knowledge, then the work.
//!
//! `handover` is the conversation between the two processes, `sockets` what is passed in it, `carried` what else is known,
//! `program` which file is started, `questions` what the two say to each other while the old one drains, `predecessor` leads the conversation in the old process and `successor` answers it in
//! the new one. Invariant: until the successor has served for a while, the old process can take everything back.

mod carried;
mod handover;
mod predecessor;
mod program;
mod questions;
mod sockets;
mod successor;

pub(super) use carried::Carried;
pub(super) use predecessor::{Ended, upgrade};
pub(super) use program::Program;
pub(super) use questions::Predecessor;
pub(super) use sockets::{Kind, Sockets};
pub(super) use successor::Successor;
