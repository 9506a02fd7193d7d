//! A node whose disk fills up.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::exposition::Exposition;
use crate::support::{Node, until};

/// A small volume in memory, unmounted when dropped.
struct Volume(tempfile::TempDir);

impl Volume {
    fn mount(test: &str, bytes: usize) -> Option<Volume> {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let arguments = ["-t", "tmpfs", "-o", &size, "tmpfs"];
        let mount =
            Command::new("mount").args(arguments).arg(directory.path()).stderr(Stdio::null()).status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Volume(directory));
        }
        let message = format!("not run: {test}: this user may not mount a tmpfs: run the test as root");
        assert!(std::env::var_os("KV_FULL_TESTS").is_none(), "{message}");
        eprintln!("{message}");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn read_only(node: &Node) -> f64 {
    let answer = node.http("/metrics");
    Exposition::read(answer.split_once("\r\n\r\n").unwrap().1).get("kv_read_only")
}

#[test]
fn a_node_whose_disk_fills_up_refuses_writes_answers_gets_and_goes_on_when_there_is_space() {
    let test = "a_node_whose_disk_fills_up_refuses_writes_answers_gets_and_goes_on_when_there_is_space";
    let Some(volume) = Volume::mount(test, 24 << 20) else { return };
    let settings = ["--set", "storage.reserve_bytes=1MiB", "--set", "limits.free_bytes_min=4MiB"];
    let node = Node::start(&volume.path().join("data"), &settings);
    node.kv(&["cluster", "init"]).with_code(0);
    let parent = tempfile::tempdir().unwrap();
    let value = parent.path().join("value");
    std::fs::write(&value, vec![b'v'; 500_000]).unwrap();
    let value = value.to_str().unwrap();
    let mut taken = 0;
    let refused = loop {
        let done = node.kv(&["put", &format!("key {taken}"), "--file", value]);
        if done.code != Some(0) {
            break done;
        }
        taken += 1;
        assert!(taken < 100, "the disk is never full");
    };
    assert_eq!(refused.code, Some(5), "{refused:?}");
    for part in ["takes no writes", "space is low", "limits.free_bytes_min", "free space"] {
        assert!(refused.err.contains(part), "{part}: {refused:?}");
    }
    assert!(taken >= 10, "{taken}: the rest is more than the reserve");
    // It says so wherever one looks, and reads go on.
    assert!(node.kv(&["status"]).with_code(5).out.contains("takes no writes: space is low"));
    let ready = node.http("/ready");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("space is low"), "{ready}");
    assert_eq!(read_only(&node), 1.0);
    for number in 0..taken {
        assert_eq!(node.kv(&["get", &format!("key {number}")]).with_code(0).out.len(), 500_000);
    }
    // Something else gives space back; nobody tells the node.
    let before = node.pid();
    let size = format!("remount,size={}", 64 << 20);
    let grown = Command::new("mount").args(["-o", &size]).arg(volume.path()).status().unwrap();
    assert!(grown.success());
    until("the node takes writes again", || node.http("/ready").starts_with("HTTP/1.1 200"));
    node.kv(&["put", "more", "--file", value]).with_code(0);
    assert_eq!((read_only(&node), node.pid()), (0.0, before));
    assert_eq!(node.kv(&["get", "key 0"]).with_code(0).out.len(), 500_000);
    node.stop().with_code(0);
}
