//! Uploads: each connection sends one body after the other, and each must be answered with the bytes that arrived.
//!
//! The counted time ends with a whole upload on every connection, so no part of one is left out.

use std::io;
use std::time::Instant;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::args::Args;
use crate::client::{Link, Reader, Target, expect, patiently};
use crate::report;

const PIECE: usize = 64 * 1024;

/// At least one upload a connection.
pub async fn run(args: &Args) -> io::Result<()> {
    let (warm, seconds) = args.times()?;
    let size: usize = args.get("size", 100 << 20)?;
    let target = Target::new(args, false)?;
    let mut links = Vec::new();
    for _ in 0..args.get("connections", 1)? {
        links.push(target.connect().await?);
    }
    if !warm.is_zero() {
        for link in &mut links {
            upload(link, size / 10).await?;
        }
    }
    report::ready()?;
    let began = Instant::now();
    let until = began + seconds;
    let mut work = JoinSet::new();
    for mut link in links {
        work.spawn_local(async move {
            let mut done = 0;
            while done == 0 || Instant::now() < until {
                upload(&mut link, size).await?;
                done += 1;
            }
            Ok::<u64, io::Error>(done)
        });
    }
    let (mut done, mut failed) = (0, 0);
    while let Some(result) = work.join_next().await {
        match result.map_err(io::Error::other)? {
            Ok(count) => done += count,
            Err(error) => {
                eprintln!("load upload: {error}");
                failed += 1;
            }
        }
    }
    report::done(&json!({
        "done": done, "failed": failed, "seconds": began.elapsed().as_secs_f64(), "bytes": done * size as u64,
    }))
}

async fn upload(link: &mut Box<dyn Link>, size: usize) -> io::Result<()> {
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
    );
    let piece = vec![b'x'; PIECE];
    patiently(async {
        link.write_all(head.as_bytes()).await?;
        let mut left = size;
        while left > 0 {
            let count = left.min(PIECE);
            link.write_all(&piece[..count]).await?;
            left -= count;
        }
        link.flush().await?;
        let (status, _) = Reader::default().answer(link).await?;
        expect(status, 200)
    })
    .await
}
