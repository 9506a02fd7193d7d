//! The client beside the server: `cargo run` builds the server alone, and the server is the client when it is called `kv`.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A client that can be run: the one beside `server`, made if there is none; if that directory cannot be written to, one in `data`.
pub(super) fn find_or_make(server: &Path, data: &Path) -> std::io::Result<PathBuf> {
    let beside = server.with_file_name("kv");
    match link(server, &beside) {
        Ok(()) => Ok(beside),
        Err(_) => {
            let inside = data.join("kv");
            link(server, &inside)?;
            Ok(inside)
        }
    }
}

/// A link to the server at `client`, unless there is a program already.
fn link(server: &Path, client: &Path) -> std::io::Result<()> {
    match client.metadata() {
        Ok(found) if found.is_file() => return Ok(()),
        Ok(_) => return Err(ErrorKind::AlreadyExists.into()),
        // Also a link to a server that is no more.
        Err(_) => match fs::remove_file(client) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    symlink(fs::canonicalize(server)?, client)
}

/// How people call a program from where they are: by its name alone if that finds it, otherwise by the shortest path.
pub(super) fn shown(program: &Path) -> String {
    let program = fs::canonicalize(program.parent().unwrap_or(Path::new("."))).map_or_else(
        |_| program.to_path_buf(),
        |directory| directory.join(program.file_name().unwrap_or_default()),
    );
    let name = program.file_name().unwrap_or_default();
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).map(|directory| directory.join(name)).find(|found| found.is_file())
        == Some(program.clone())
    {
        return name.to_string_lossy().into_owned();
    }
    let here = env::current_dir().and_then(fs::canonicalize).unwrap_or_default();
    let shown = match program.strip_prefix(&here) {
        Ok(inside) => Path::new(".").join(inside),
        Err(_) => program,
    };
    quoted(&shown.to_string_lossy())
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "./_-+:@%,".contains(c);
    if word.chars().all(plain) { word.to_string() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_made_where_there_is_none_and_kept_where_there_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let server = directory.path().join("kv-server");
        fs::write(&server, "server").unwrap();
        let client = find_or_make(&server, directory.path()).unwrap();
        assert_eq!(client, directory.path().join("kv"));
        assert_eq!(fs::read_to_string(&client).unwrap(), "server");
        fs::remove_file(&client).unwrap();
        fs::write(&client, "built").unwrap();
        assert_eq!(find_or_make(&server, directory.path()).unwrap(), client);
        assert_eq!(fs::read_to_string(&client).unwrap(), "built");
    }

    #[test]
    fn a_link_to_a_server_that_is_gone_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let server = directory.path().join("kv-server");
        fs::write(&server, "server").unwrap();
        symlink(directory.path().join("gone"), directory.path().join("kv")).unwrap();
        let client = find_or_make(&server, directory.path()).unwrap();
        assert_eq!(fs::read_to_string(client).unwrap(), "server");
    }

    #[test]
    fn where_nothing_can_be_made_beside_the_server_it_is_made_in_the_data() {
        let directory = tempfile::tempdir().unwrap();
        let server = directory.path().join("kv-server");
        fs::write(&server, "server").unwrap();
        fs::create_dir(directory.path().join("kv")).unwrap();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        assert_eq!(find_or_make(&server, &data).unwrap(), data.join("kv"));
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted("./target/release/kv"), "./target/release/kv");
        assert_eq!(quoted("/my stuff/it's"), r"'/my stuff/it'\''s'");
    }
}
