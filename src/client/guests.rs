//! The tokens of guests that `switchboard send` has signed in, in a file of the user.
//!
//! The file is `switchboard/guests.json` in `$XDG_STATE_HOME`, or else in `~/.local/state`. It is
//! a JSON object: the key is the server's URL and the guest's name, the value is the token.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

type Tokens = BTreeMap<String, String>;

/// The token of a guest, if it is remembered.
pub(super) fn token(url: &str, name: &str) -> Option<String> {
    read().remove(&key(url, name))
}

/// Remembers the token of a guest.
pub(super) fn remember(url: &str, name: &str, token: &str) -> io::Result<()> {
    let path = path().ok_or_else(|| io::Error::other("HOME is not set"))?;
    let mut tokens = read();
    tokens.insert(key(url, name), token.to_owned());
    let folder = path.parent().expect("the path names a file in a folder");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // Another `send` may read the file at this moment. It sees the old file or the new one.
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new);
    file?.write_all(serde_json::to_string_pretty(&tokens)?.as_bytes())?;
    fs::rename(new, path)
}

/// The file's content. A file that is missing or damaged is empty.
fn read() -> Tokens {
    let text = path().and_then(|path| fs::read_to_string(path).ok());
    text.and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

fn key(url: &str, name: &str) -> String {
    format!("{url} {name}")
}

fn path() -> Option<PathBuf> {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let state = named("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.or_else(|| Some(PathBuf::from(named("HOME")?).join(".local/state")))?;
    Some(state.join("switchboard/guests.json"))
}
