//! Connections that do nothing: after one request each, or as WebSockets after one echo.
//!
//! They stay until the input ends; then those still open are counted, so that none was lost on the way.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::task::JoinSet;

use crate::args::Args;
use crate::client::{self, Link, Reader, Target, patiently};
use crate::report;

const AT_ONCE: usize = 32;

/// Opens, holds, counts.
pub async fn run(args: &Args) -> io::Result<()> {
    let wanted: usize = args.get("connections", 1000)?;
    let websocket = args.has("websocket");
    let target = Rc::new(Target::new(args, false)?);
    let request = Rc::new(client::request(&args.get("path", "/6".to_owned())?));
    let open: Rc<RefCell<Vec<Box<dyn Link>>>> = Rc::default();
    let mut work = JoinSet::new();
    for number in 0..AT_ONCE {
        let (target, request, open) = (Rc::clone(&target), Rc::clone(&request), Rc::clone(&open));
        let share = wanted / AT_ONCE + usize::from(number < wanted % AT_ONCE);
        work.spawn_local(async move {
            for _ in 0..share {
                let link = if websocket {
                    one_echo(&target).await?
                } else {
                    one_request(&target, &request).await?
                };
                open.borrow_mut().push(link);
            }
            Ok::<_, io::Error>(())
        });
    }
    while let Some(result) = work.join_next().await {
        result.map_err(io::Error::other)??;
    }
    report::ready()?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    let mut done = 0;
    for link in &mut open.take() {
        done += u64::from(is_open(link).await);
    }
    report::done(&json!({"done": done, "failed": wanted as u64 - done}))
}

async fn one_request(target: &Target, request: &[u8]) -> io::Result<Box<dyn Link>> {
    let mut link = target.connect().await?;
    client::get(&mut link, &mut Reader::default(), request).await?;
    Ok(link)
}

async fn one_echo(target: &Target) -> io::Result<Box<dyn Link>> {
    let mut link = target.websocket().await?;
    patiently(async {
        link.write_all(&[0x82, 0x81, 0, 0, 0, 0, b'x']).await?;
        link.flush().await?;
        link.read_exact(&mut [0; 3]).await
    })
    .await?;
    Ok(link)
}

/// Whether nothing comes; a closed connection gives its end at once.
async fn is_open(link: &mut Box<dyn Link>) -> bool {
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    std::future::poll_fn(|context| {
        let read = Pin::new(&mut *link).poll_read(context, &mut buffer);
        Poll::Ready(read.is_pending())
    })
    .await
}
