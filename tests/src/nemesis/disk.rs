//! Disks of the nodes' own: small ext4 file systems in files, that can be filled up and lose their power.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::nemesis::commands::{attempt, run};
use crate::nemesis::leftovers::{directory_of, remove_disks};

/// How large a disk is.
const BYTES: u64 = 256 << 20;
/// `_IOR('X', 125, __u32)` of `fs/ext4/ext4.h`: the file system ends at once.
const EXT4_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
/// And what its journal holds is not written first.
const EXT4_GOING_FLAGS_NOLOGFLUSH: u32 = 2;
/// How long a disk may be in use after its processes were killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The disks of one run; they are gone when this is dropped.
#[derive(Debug)]
pub struct Disks {
    directory: PathBuf,
    disks: Vec<Disk>,
}

/// A file system in a file.
#[derive(Debug, Clone)]
pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disks {
    /// Makes that many disks.
    ///
    /// # Errors
    ///
    /// What the machine forbids or lacks.
    pub async fn make(count: usize) -> anyhow::Result<Self> {
        let directory = directory_of(std::process::id());
        std::fs::create_dir_all(&directory)?;
        let mut disks = Disks { directory, disks: Vec::new() };
        for number in 0..count {
            let disk = Disk::make(&disks.directory, number).await;
            disks.disks.push(disk.context("disks cannot be made (this needs root, loop devices and ext4)")?);
        }
        Ok(disks)
    }

    /// A disk by its number.
    pub fn disk(&self, number: usize) -> &Disk {
        &self.disks[number]
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        remove_disks(&self.directory);
    }
}

impl Disk {
    async fn make(directory: &Path, number: usize) -> anyhow::Result<Self> {
        let disk = Disk {
            image: directory.join(format!("disk-{number}.ext4")),
            mount: directory.join(format!("disk-{number}")),
        };
        File::create(&disk.image)?.set_len(BYTES)?;
        std::fs::create_dir_all(&disk.mount)?;
        let image = disk.image.to_string_lossy();
        // Nothing is set aside for root: full is full.
        run("mkfs.ext4", &["-q", "-F", "-m", "0", &image], "").await?;
        disk.mount().await?;
        Ok(disk)
    }

    /// Where its files are.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    async fn mount(&self) -> anyhow::Result<()> {
        let (image, mount) = (self.image.to_string_lossy(), self.mount.to_string_lossy());
        run("mount", &["-o", "loop", &image, &mount], "").await.map(drop)
    }

    /// Takes all the space that is left.
    ///
    /// # Errors
    ///
    /// If something else goes wrong than that the disk is full.
    pub fn fill(&self) -> anyhow::Result<()> {
        let file = File::options().create(true).append(true).open(self.filler())?;
        let mut piece = BYTES;
        while piece >= 4096 {
            let taken = file.metadata()?.len();
            // SAFETY: the descriptor is that of the open file.
            let result =
                unsafe { libc::fallocate(file.as_raw_fd(), 0, taken as libc::off_t, piece as libc::off_t) };
            if result == 0 {
                continue;
            }
            let error = std::io::Error::last_os_error();
            ensure!(error.kind() == ErrorKind::StorageFull, "the disk cannot be filled: {error}");
            piece /= 2;
        }
        Ok(())
    }

    /// Gives the space back.
    ///
    /// # Errors
    ///
    /// If it cannot be given back.
    pub fn free(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(self.filler()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn filler(&self) -> PathBuf {
        self.mount.join("filler")
    }

    /// Everything that was not made durable is lost from now on, and nothing can be written any more.
    ///
    /// # Errors
    ///
    /// If the kernel does not do that.
    pub fn cut_power(&self) -> anyhow::Result<()> {
        let directory = File::open(&self.mount)?;
        let flags = EXT4_GOING_FLAGS_NOLOGFLUSH;
        // SAFETY: this request reads one number of 32 bits, which lives until it returns.
        let result = unsafe { libc::ioctl(directory.as_raw_fd(), EXT4_IOC_SHUTDOWN, &flags) };
        ensure!(result == 0, "EXT4_IOC_SHUTDOWN: {}", std::io::Error::last_os_error());
        Ok(())
    }

    /// Gives the power back: the file system is mounted anew, as it is on the device. Nobody may use it.
    ///
    /// # Errors
    ///
    /// If it cannot be mounted.
    pub async fn restore_power(&self) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        while !attempt("umount", &[&self.mount.to_string_lossy()]) {
            ensure!(Instant::now() < end, "{} is still in use", self.mount.display());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.mount().await
    }

    /// Makes durable what is there now.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn sync(&self) -> anyhow::Result<()> {
        let directory = File::open(&self.mount)?;
        // SAFETY: the descriptor is that of the open directory.
        let result = unsafe { libc::syncfs(directory.as_raw_fd()) };
        ensure!(result == 0, "syncfs: {}", std::io::Error::last_os_error());
        Ok(())
    }
}
