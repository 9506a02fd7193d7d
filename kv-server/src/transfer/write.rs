use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use crate::text::{printable, to_hex};
use crate::transfer::{Entry, Format, json};

/// Where entries are written: a file, or standard output.
#[derive(Debug)]
pub(crate) struct FileSink {
    out: BufWriter<Out>,
    format: Format,
    hex: bool,
    bytes: u64,
}

#[derive(Debug)]
enum Out {
    File(File),
    Standard(io::Stdout),
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::File(file) => file.write(bytes),
            Out::Standard(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::File(file) => file.flush(),
            Out::Standard(out) => out.flush(),
        }
    }
}

impl FileSink {
    /// A new file, which must not be there yet.
    pub(crate) fn create(path: &Path, format: Format, hex: bool) -> io::Result<Self> {
        Self::begin(Out::File(OpenOptions::new().write(true).create_new(true).open(path)?), format, hex)
    }

    /// A file of which `bytes` are to be kept.
    pub(crate) fn resume(path: &Path, format: Format, hex: bool, bytes: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.len() < bytes {
            return Err(io::Error::other("it is shorter than it was: begin anew"));
        }
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(FileSink { out: BufWriter::with_capacity(1 << 18, Out::File(file)), format, hex, bytes })
    }

    /// Standard output.
    pub(crate) fn standard(format: Format, hex: bool) -> io::Result<Self> {
        Self::begin(Out::Standard(io::stdout()), format, hex)
    }

    fn begin(out: Out, format: Format, hex: bool) -> io::Result<Self> {
        let mut sink = FileSink { out: BufWriter::with_capacity(1 << 18, out), format, hex, bytes: 0 };
        if format == Format::Csv {
            let headings = if hex { ["key_hex", "value_hex"] } else { ["key", "value"] };
            sink.row(headings.map(str::as_bytes))?;
        }
        Ok(sink)
    }

    /// Writes one entry.
    pub(crate) fn write(&mut self, entry: &Entry) -> io::Result<()> {
        if self.format == Format::Jsonl {
            let line = json::encode(entry).map_err(io::Error::other)?;
            self.bytes += line.len() as u64 + 1;
            self.out.write_all(line.as_bytes())?;
            return self.out.write_all(b"\n");
        }
        for value in &entry.values {
            if self.hex {
                self.row([to_hex(entry.key.as_bytes()).as_bytes(), to_hex(&value.bytes).as_bytes()])?;
            } else {
                let is_text = |bytes| std::str::from_utf8(bytes).is_ok();
                if !is_text(entry.key.as_bytes()) || !is_text(&value.bytes) {
                    return Err(io::Error::other(format!(
                        "the entry of key {} is not text: write JSON lines, or CSV with --hex",
                        printable(entry.key.as_bytes())
                    )));
                }
                self.row([entry.key.as_bytes(), &value.bytes])?;
            }
        }
        Ok(())
    }

    fn row(&mut self, fields: [&[u8]; 2]) -> io::Result<()> {
        let mut row = csv::Writer::from_writer(Vec::new());
        row.write_record(fields).map_err(io::Error::other)?;
        let row = row.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        self.bytes += row.len() as u64;
        self.out.write_all(&row)
    }

    /// Stores what was written so far and says how many bytes that is.
    pub(crate) fn store(&mut self) -> io::Result<u64> {
        self.out.flush()?;
        if let Out::File(file) = self.out.get_ref() {
            file.sync_data()?;
        }
        Ok(self.bytes)
    }
}
