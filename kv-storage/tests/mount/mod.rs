//! Small volumes of their own, where the user of the tests may mount them.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use tempfile::TempDir;

/// A volume, unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    directory: TempDir,
}

impl Mount {
    /// A volume in memory. If that may not be mounted, says so by the name of the test, and fails where everything has to run.
    pub(crate) fn tmpfs(test: &str, bytes: usize) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let size = format!("size={bytes}");
        if mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], directory.path()) {
            return Some(Mount { directory });
        }
        let message = format!("not run: {test}: this user may not mount a tmpfs: run the test as root");
        assert!(env::var_os("KV_FULL_TESTS").is_none(), "{message}");
        eprintln!("{message}");
        None
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Bytes that can still be written.
    #[allow(dead_code, reason = "not every test file needs it")]
    pub(crate) fn bytes_free(&self) -> usize {
        let stat = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(self.path()).output().expect("stat");
        let text = String::from_utf8(stat.stdout).expect("text");
        text.split_whitespace().map(|number| number.parse::<usize>().expect("a number")).product()
    }

    /// From now on nothing can be written.
    #[allow(dead_code, reason = "not every test file needs it")]
    pub(crate) fn make_read_only(&self) {
        assert!(mount(&["-o", "remount,ro"], self.path()), "mount -o remount,ro");
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    let mount = Command::new("mount").args(arguments).arg(path).stderr(Stdio::null()).status();
    mount.is_ok_and(|status| status.success())
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a child process that another test just starts may have copies of this test's descriptors.
        let unmount = Command::new("umount").arg("--lazy").arg(self.path()).status();
        let is_unmounted = unmount.is_ok_and(|status| status.success());
        assert!(is_unmounted || thread::panicking(), "umount {}", self.path().display());
    }
}
