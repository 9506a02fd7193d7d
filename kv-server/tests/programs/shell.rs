//! `kv shell`, `kv status --watch`, completions and manual pages.

use std::io::Read;
use std::process::Stdio;

use crate::support::{Dev, Running, run};

#[test]
fn the_shell_obeys_line_by_line_and_goes_on_after_errors() {
    let dev = Dev::start(&["--memory"]);
    let script = "put k one\nget k\n\nnosuch\nuse redis\nget k\nput k two\nget k\nget 'k\nuse nowhere\nshell\nscan --json\nuse default\nget k\n";
    let done = dev.kv_with_input(&["shell"], script.as_bytes());
    let lines: Vec<&str> = done.out.lines().filter(|line| !line.starts_with("written")).collect();
    let values: Vec<&&str> = lines.iter().filter(|line| ["one", "two"].contains(line)).collect();
    assert_eq!(values, [&"one", &"two", &"one"], "{done:?}");
    assert!(done.out.contains("{\"key\":\"k\"}"), "{done:?}");
    for part in [
        "unrecognized subcommand 'nosuch'",
        "no value under k",
        "missing closing quote",
        "there is no bucket 'nowhere'",
        "this is the shell",
    ] {
        assert!(done.err.contains(part), "{part}: {done:?}");
    }
    assert_eq!(done.code, Some(2), "the last command that failed: {done:?}");
    assert_eq!(dev.kv_with_input(&["shell"], b"get k\nexit\nnosuch\n").with_code(0).out, "one\n");
    // What looks like an option and is a value does not choose a bucket.
    dev.kv_with_input(&["shell"], b"use redis\nput odd -- --bucket\nput other -- -b\n").with_code(0);
    assert_eq!(dev.kv(["get", "-b", "redis", "odd"]).with_code(0).out, "--bucket");
    assert_eq!(dev.kv(["get", "-b", "redis", "other"]).with_code(0).out, "-b");
    let named = dev.kv_with_input(&["shell"], b"use redis\nget k -b default\nget --bucket=default k\n");
    assert_eq!(named.with_code(0).out.matches("one").count(), 2);
}

#[test]
fn status_is_shown_again_and_again() {
    let dev = Dev::start(&["--memory"]);
    let mut command = dev.kv_command();
    command.args(["status", "--watch=50ms"]).stdout(Stdio::piped());
    let mut watch = Running(command.spawn().unwrap());
    let mut out = watch.0.stdout.take().unwrap();
    let (mut text, mut piece) = (String::new(), [0; 4_096]);
    while text.matches("ADDRESS").count() < 3 {
        let count = out.read(&mut piece).unwrap();
        assert!(count > 0, "{text}");
        text += &String::from_utf8_lossy(&piece[..count]);
    }
    assert!(!text.contains('\x1b'), "no terminal is there to be cleared");
    assert!(dev.kv(["status", "--watch=x"]).with_code(2).err.contains("is not a time"));
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let dev = Dev::start(&["--memory"]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = dev.kv(["completions", shell]).with_code(0).out;
        assert!(script.contains("export") && script.contains("resume"), "{shell}");
    }
    assert!(dev.kv(["completions", "bash", "--of", "kv-server"]).with_code(0).out.contains("--print-config"));
    dev.kv(["completions", "nosuch"]).with_code(2);
    assert!(dev.kv(["man"]).with_code(0).out.contains(".TH kv 1"));
    let pages = dev.path().join("man");
    dev.kv(["man", pages.to_str().unwrap()]).with_code(0);
    for page in ["kv.1", "kv-import.1", "kv-bucket-create.1", "kv-server.1", "kv-server-dev.1"] {
        assert!(pages.join(page).exists(), "{page}");
    }
    let bash = dev.kv(["completions", "bash"]).out;
    let script = dev.path().join("kv.bash");
    std::fs::write(&script, bash).unwrap();
    run(std::process::Command::new("bash").args(["-n", script.to_str().unwrap()])).with_code(0);
}
