//! The other side of the generators: `/ws` echoes, `/events` streams, `/upload` swallows, anything else is `hello`.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::spawn_local;

use crate::args::Args;
use crate::{events, frames};

const HEAD: usize = 16 * 1024;
const PIECE: usize = 256 * 1024;
const BACKLOG: u32 = 4096;

/// Serves until the process is ended.
pub async fn serve(args: &Args) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(args.address("listen")?)?;
    let listener = socket.listen(BACKLOG)?;
    loop {
        // out of descriptors: those that have one go on
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        spawn_local(async move {
            let _gone = connection(stream).await;
        });
    }
}

async fn connection(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if buffer.len() > HEAD || stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head: Vec<u8> = buffer.drain(..end).collect();
        let head = String::from_utf8_lossy(&head);
        match head.split(' ').nth(1) {
            Some("/ws") => return websocket(stream, &head, buffer).await,
            Some("/events") => return stream_events(stream).await,
            Some("/upload") => upload(&mut stream, &head, &mut buffer).await?,
            _ => {
                let hello = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";
                stream.write_all(hello).await?;
            }
        }
    }
}

/// The value of a field.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

async fn websocket(mut stream: TcpStream, head: &str, mut input: Vec<u8>) -> io::Result<()> {
    // every generator sends the key of RFC 6455, section 1.3; another gets the answer to that one
    if field(head, "upgrade").is_none() {
        return stream
            .write_all(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
            .await;
    }
    stream
        .write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        .await?;
    let mut output = Vec::new();
    loop {
        while let Some((head, masked, length)) = frames::parse(&input) {
            let Some(payload) = input.get_mut(head..head + length) else {
                input.reserve(head + length);
                break;
            };
            output.clear();
            frames::head(length, false, &mut output);
            output.extend_from_slice(payload);
            if masked {
                let begin = output.len() - length;
                let key = [
                    input[head - 4],
                    input[head - 3],
                    input[head - 2],
                    input[head - 1],
                ];
                frames::mask(key, &mut output[begin..]);
            }
            input.drain(..head + length);
            stream.write_all(&output).await?;
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

async fn stream_events(mut stream: TcpStream) -> io::Result<()> {
    stream
        .write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
              Transfer-Encoding: chunked\r\n\r\n",
        )
        .await?;
    let began = tokio::time::Instant::now();
    let epoch = events::now()?;
    let mut number = 0;
    loop {
        number += 1;
        let after = Duration::from_secs(number);
        tokio::time::sleep_until(began + after).await;
        let owed = (epoch + after).as_nanos();
        let chunk = format!("1c\r\ndata: {owed:0width$}\n\n\r\n", width = events::DIGITS);
        stream.write_all(chunk.as_bytes()).await?;
    }
}

async fn upload(stream: &mut TcpStream, head: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
    let Some(length) = field(head, "content-length").and_then(|text| text.parse::<usize>().ok())
    else {
        return stream
            .write_all(
                b"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            )
            .await;
    };
    let mut missing = length - buffer.len().min(length);
    buffer.drain(..buffer.len().min(length));
    let mut piece = vec![0; PIECE];
    while missing > 0 {
        let room = missing.min(PIECE);
        let count = stream.read(&mut piece[..room]).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        missing -= count;
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n")
        .await
}
