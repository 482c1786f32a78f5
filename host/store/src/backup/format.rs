//! The file: gzip over lines of JSON.
//!
//! 1. the header, an object ([`Header`]);
//! 2. for each table a line `{"table": …, "columns": [[name, kind], …], "last": …}`, then one array for each row; bytes
//!    are base64;
//! 3. the trailer: `{"rows": {table: count}, "sha256": …}`, the digest of every byte before it.
//!
//! A reader sees a broken or cut file before it uses the last line of it: use [`verify`] first.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wharf_domain::time::Timestamp;

use super::catalog::Kind;
use crate::error::StoreError;

/// Grows when a reader of the number before could not read it.
pub(super) const FORMAT: u32 = 1;
/// No value of either engine is larger than this, so no line of ours is much longer.
const LONGEST: u64 = 2 << 30;

/// What a backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The number of the file's format.
    pub wharf_backup: u32,
    /// `sqlite` or `postgres`: where it was taken. It restores into both.
    pub engine: String,
    /// Names of the migrations the tables had, oldest first.
    pub schema: Vec<String>,
    pub taken_at: Timestamp,
    /// Version of the program that took it.
    pub host_version: String,
}

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub header: Header,
    /// Rows per table.
    pub rows: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) table: String,
    pub(super) columns: Vec<(String, Kind)>,
    /// The last number given to `seq`; absent for a table that counts nothing.
    pub(super) last: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Trailer {
    rows: BTreeMap<String, u64>,
    sha256: String,
}

pub(super) struct Writer {
    out: GzEncoder<BufWriter<File>>,
    path: PathBuf,
    digest: Sha256,
    rows: BTreeMap<String, u64>,
    table: String,
    line: Vec<u8>,
}

impl Writer {
    /// Readable by its owner only: it holds addresses of customers.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let out = GzEncoder::new(BufWriter::with_capacity(1 << 16, file), Compression::fast());
        let (digest, rows, table) = (Sha256::new(), BTreeMap::new(), String::new());
        Ok(Self { out, path: path.to_owned(), digest, rows, table, line: Vec::new() })
    }

    pub(super) fn header(&mut self, header: &Header) -> Result<(), StoreError> {
        self.line(header)
    }

    pub(super) fn table(&mut self, table: &Table) -> Result<(), StoreError> {
        self.table.clone_from(&table.table);
        self.rows.insert(table.table.clone(), 0);
        self.line(table)
    }

    /// Of the table begun last.
    pub(super) fn row(&mut self, values: &[Value]) -> Result<(), StoreError> {
        if let Some(count) = self.rows.get_mut(&self.table) {
            *count += 1;
        }
        self.line(&values)
    }

    /// Ends the file and returns when it is on disk.
    pub(super) fn finish(mut self) -> Result<BTreeMap<String, u64>, StoreError> {
        let sha256 = hex::encode(self.digest.clone().finalize());
        let rows = std::mem::take(&mut self.rows);
        self.line(&Trailer { rows: rows.clone(), sha256 })?;
        let Self { out, path, .. } = self;
        let synced = out
            .finish()
            .and_then(|buffered| buffered.into_inner().map_err(io::IntoInnerError::into_error))
            .and_then(|file| file.sync_all());
        synced.map_err(|source| failed(path, source))?;
        Ok(rows)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), StoreError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, value)?;
        self.line.push(b'\n');
        self.digest.update(&self.line);
        self.out.write_all(&self.line).map_err(|source| failed(self.path.clone(), source))
    }
}

fn failed(path: PathBuf, source: io::Error) -> StoreError {
    if source.kind() == io::ErrorKind::StorageFull { StoreError::Full } else { StoreError::File { path, source } }
}

/// A line after the header.
pub(super) enum Line {
    Table(Table),
    Row(Vec<Value>),
    /// Everything before it was as it was written.
    End,
}

pub(super) struct Reader {
    lines: BufReader<GzDecoder<BufReader<File>>>,
    path: PathBuf,
    header: Header,
    digest: Sha256,
    rows: BTreeMap<String, u64>,
    table: String,
    line: Vec<u8>,
}

impl Reader {
    /// Opens the file and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let mut lines = BufReader::with_capacity(1 << 16, GzDecoder::new(BufReader::new(file)));
        let mut line = Vec::new();
        let bad = |reason: String| StoreError::BadBackup { path: path.to_owned(), reason };
        read_line(&mut lines, &mut line).map_err(|err| bad(format!("it is no backup of Wharf: {err}")))?;
        let first: Value =
            serde_json::from_slice(&line).map_err(|_| bad("it is no backup of Wharf: the first line".to_owned()))?;
        match first["wharf_backup"].as_u64() {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => return Err(bad(format!("its format is {format} and this program reads {FORMAT}"))),
            None => return Err(bad("it is no backup of Wharf: the first line".to_owned())),
        }
        let header = serde_json::from_value(first).map_err(|err| bad(format!("its header: {err}")))?;
        let digest = Sha256::new().chain_update(&line);
        let (rows, table) = (BTreeMap::new(), String::new());
        Ok(Self { lines, path: path.to_owned(), header, digest, rows, table, line })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn bad(&self, reason: impl Into<String>) -> StoreError {
        StoreError::BadBackup { path: self.path.clone(), reason: reason.into() }
    }

    pub(super) fn next(&mut self) -> Result<Line, StoreError> {
        read_line(&mut self.lines, &mut self.line)
            .map_err(|err| self.bad(format!("it is damaged or cut off: {err}")))?;
        let damaged = |err: serde_json::Error| self.bad(format!("it is damaged: {err}"));
        if self.line.starts_with(b"[") {
            let row = serde_json::from_slice(&self.line).map_err(damaged)?;
            self.digest.update(&self.line);
            let Some(count) = self.rows.get_mut(&self.table) else {
                return Err(self.bad("it is damaged: a row before the first table"));
            };
            *count += 1;
            return Ok(Line::Row(row));
        }
        if self.line.starts_with(b"{\"table\"") {
            let table: Table = serde_json::from_slice(&self.line).map_err(damaged)?;
            self.digest.update(&self.line);
            if self.rows.insert(table.table.clone(), 0).is_some() {
                return Err(self.bad(format!("it is damaged: `{}` is there twice", table.table)));
            }
            self.table.clone_from(&table.table);
            return Ok(Line::Table(table));
        }
        let trailer: Trailer = serde_json::from_slice(&self.line).map_err(damaged)?;
        if trailer.sha256 != hex::encode(self.digest.clone().finalize()) {
            return Err(self.bad("it was changed or damaged: the digest does not fit"));
        }
        if trailer.rows != self.rows {
            return Err(self.bad("it was changed or damaged: the number of rows does not fit"));
        }
        let mut after = Vec::new();
        match self.lines.by_ref().take(1).read_to_end(&mut after) {
            Ok(0) => Ok(Line::End),
            Ok(_) => Err(self.bad("it was changed: something follows its end")),
            Err(err) => Err(self.bad(format!("it is damaged: {err}"))),
        }
    }

    pub(super) fn contents(self) -> Contents {
        Contents { header: self.header, rows: self.rows }
    }
}

/// The next line with its end; an error when there is none.
fn read_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    lines.by_ref().take(LONGEST).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Reads the whole file and checks digest and counts. Needs no database.
pub fn verify(path: &Path) -> Result<Contents, StoreError> {
    let mut reader = Reader::open(path)?;
    while !matches!(reader.next()?, Line::End) {}
    Ok(reader.contents())
}
