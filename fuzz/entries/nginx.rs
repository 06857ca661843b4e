//! nginx configurations: any bytes are read or refused, with the place of the fault inside of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hubgate::nginx::{At, Memory, Options, read};

/// Holds what the header says of this input.
pub(crate) fn run(input: &[u8]) {
    let lines = input.iter().filter(|byte| **byte == b'\n').count() + 1;
    let files = Memory(BTreeMap::from([(
        PathBuf::from("/nginx.conf"),
        input.to_vec(),
    )]));
    for keep_unknown in [false, true] {
        let options = Options {
            globals: String::new(),
            keep_unknown,
        };
        match read(&files, Path::new("/nginx.conf"), &options) {
            Ok(tree) => assert!(tree.files.len() == 1 || input.is_empty()),
            Err(refused) => {
                if let At::File { line, .. } = refused.0.at {
                    assert!(line as usize <= lines);
                }
            }
        }
    }
}
