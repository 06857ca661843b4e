//! What a folder without an index shows, byte for byte as nginx writes it with `charset utf-8`.
//!
//! Folders first, then by name; names that begin with a dot are not shown. Times are UTC. [`entries`] blocks; the rest is
//! pure. At most [`MOST`] entries are read, so that no folder takes all memory.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FileType, statat};
use time::OffsetDateTime;

use crate::nginx::uri;

/// Entries of a folder that are shown.
pub const MOST: usize = 20_000;
/// Characters of a name that are shown.
const WIDTH: usize = 50;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    name: Vec<u8>,
    kind: Kind,
    modified: i64,
    size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Other,
}

/// Reads a folder.
pub fn entries(folder: OwnedFd) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for found in Dir::read_from(&folder)? {
        let found = found?;
        let name = found.file_name().to_bytes();
        if name.starts_with(b".") {
            continue;
        }
        if entries.len() == MOST {
            tracing::warn!(
                event = "files.listing.cut",
                "a folder has more than {MOST} entries; the rest is not listed"
            );
            break;
        }
        let stat = statat(&folder, found.file_name(), AtFlags::empty())
            // A link to nowhere is shown as what it is.
            .or_else(|_| statat(&folder, found.file_name(), AtFlags::SYMLINK_NOFOLLOW));
        let Ok(stat) = stat else {
            continue;
        };
        entries.push(Entry {
            name: name.to_vec(),
            kind: match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => Kind::Folder,
                FileType::RegularFile => Kind::File,
                _ => Kind::Other,
            },
            modified: stat.st_mtime,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
        });
    }
    entries.sort_by(|a, b| {
        let folder = |entry: &Entry| entry.kind != Kind::Folder;
        (folder(a), &a.name).cmp(&(folder(b), &b.name))
    });
    Ok(entries)
}

/// As a page.
pub fn html(path: &[u8], entries: &[Entry], exact: bool) -> Vec<u8> {
    let title = escaped(path);
    let mut out = b"<html>\r\n<head><title>Index of ".to_vec();
    out.extend_from_slice(&title);
    out.extend_from_slice(b"</title></head>\r\n<body>\r\n<h1>Index of ");
    out.extend_from_slice(&title);
    out.extend_from_slice(b"</h1><hr><pre><a href=\"../\">../</a>\r\n");
    for entry in entries {
        line(entry, exact, &mut out);
    }
    out.extend_from_slice(b"</pre><hr></body>\r\n</html>\r\n");
    out
}

fn line(entry: &Entry, exact: bool, out: &mut Vec<u8>) {
    let folder = entry.kind == Kind::Folder;
    out.extend_from_slice(b"<a href=\"");
    out.extend_from_slice(&uri::escape_component(&entry.name));
    if folder {
        out.push(b'/');
    }
    out.extend_from_slice(b"\">");
    let text = std::str::from_utf8(&entry.name);
    let mut width = text.map_or(entry.name.len(), |text| text.chars().count());
    if width > WIDTH {
        let end = match text {
            Ok(text) => text
                .char_indices()
                .nth(WIDTH - 3)
                .map_or(text.len(), |(end, _)| end),
            Err(_) => WIDTH - 3,
        };
        out.extend_from_slice(&escaped(entry.name.get(..end).unwrap_or(&entry.name)));
        out.extend_from_slice(b"..&gt;</a>");
    } else {
        out.extend_from_slice(&escaped(&entry.name));
        if folder && width < WIDTH {
            out.push(b'/');
            width += 1;
        }
        out.extend_from_slice(b"</a>");
        out.resize(out.len() + (WIDTH - width), b' ');
    }
    let at =
        OffsetDateTime::from_unix_timestamp(entry.modified).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let month = at.month().to_string();
    let month = month.get(..3).unwrap_or_default();
    let (day, year, hour, minute) = (at.day(), at.year(), at.hour(), at.minute());
    let size = match (folder, exact) {
        (true, true) => format!("{:>19}", "-"),
        (true, false) => format!("{:>7}", "-"),
        (false, true) => format!("{:>19}", entry.size),
        (false, false) => rounded(entry.size),
    };
    let rest = format!(" {day:02}-{month}-{year} {hour:02}:{minute:02} {size}\r\n");
    out.extend_from_slice(rest.as_bytes());
}

fn rounded(size: u64) -> String {
    const KILO: u64 = 1 << 10;
    const MEGA: u64 = 1 << 20;
    const GIGA: u64 = 1 << 30;
    let (unit, mark) = match size {
        GIGA.. => (GIGA, 'G'),
        MEGA.. => (MEGA, 'M'),
        10_000.. => (KILO, 'K'),
        _ => return format!(" {size:>6}"),
    };
    let up = u64::from(size % unit >= unit / 2);
    format!("{:>6}{mark}", size / unit + up)
}

/// As a list of objects.
pub fn json(entries: &[Entry]) -> Vec<u8> {
    let mut out = b"[\r\n".to_vec();
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b",\r\n");
        }
        out.extend_from_slice(b"{ \"name\":\"");
        for &byte in &entry.name {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                ..=0x1f => out.extend_from_slice(format!("\\u{byte:04X}").as_bytes()),
                _ => out.push(byte),
            }
        }
        let kind = match entry.kind {
            Kind::Folder => "directory",
            Kind::File => "file",
            Kind::Other => "other",
        };
        let modified = Duration::from_secs(u64::try_from(entry.modified).unwrap_or_default());
        let date = httpdate::fmt_http_date(UNIX_EPOCH + modified);
        let size = match entry.kind {
            Kind::File => format!(", \"size\":{}", entry.size),
            Kind::Folder | Kind::Other => String::new(),
        };
        let rest = format!("\", \"type\":\"{kind}\", \"mtime\":\"{date}\"{size} }}");
        out.extend_from_slice(rest.as_bytes());
    }
    out.extend_from_slice(b"\r\n]");
    out
}

/// As [`json`], given to the function that the argument `callback` names: letters, digits, `_` and `.`, at most 128. `None`
/// with any other name.
pub fn jsonp(entries: &[Entry], args: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let list = json(entries);
    let mut pairs = args.split(|byte| *byte == b'&');
    let name = pairs.find_map(|pair| pair.strip_prefix(b"callback="));
    let fine = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    match name.filter(|name| !name.is_empty()) {
        None => Some(("application/json", list)),
        Some(name) if name.len() > 128 || !name.iter().all(fine) => None,
        Some(name) => {
            let call = [&b"/* callback */\r\n"[..], name, b"(", &list, b");"].concat();
            Some(("application/javascript", call))
        }
    }
}

/// As an XML document.
pub fn xml(entries: &[Entry]) -> Vec<u8> {
    let mut out = b"<?xml version=\"1.0\"?>\r\n<list>\r\n".to_vec();
    for entry in entries {
        let kind = match entry.kind {
            Kind::Folder => "directory",
            Kind::File => "file",
            Kind::Other => "other",
        };
        let at = OffsetDateTime::from_unix_timestamp(entry.modified)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = at.to_calendar_date();
        let (hour, minute, second) = at.to_hms();
        let month = u8::from(month);
        let size = match entry.kind {
            Kind::File => format!(" size=\"{}\"", entry.size),
            Kind::Folder | Kind::Other => String::new(),
        };
        let head = format!(
            "<{kind} mtime=\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z\"{size}>"
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&escaped(&entry.name));
        out.extend_from_slice(format!("</{kind}>\r\n").as_bytes());
    }
    out.extend_from_slice(b"</list>\r\n");
    out
}

/// Text as HTML has it.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            _ => out.push(byte),
        }
    }
    out
}
