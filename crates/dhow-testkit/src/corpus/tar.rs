//! Archives made byte by byte, in every form that programs have written them: old ones, wrong ones, strange ones.

/// What archives consist of.
const BLOCK: usize = 512;

/// When everything here was changed last, unless it says otherwise: 2001-09-09 01:46:40.
pub const MTIME: i64 = 1_000_000_000;

/// The form of an entry's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Before POSIX: no magic, no names of owners, no devices.
    V7,
    /// POSIX 1988: a prefix for long names.
    Ustar,
    /// GNU: `L` and `K` entries for long names, binary numbers.
    Gnu,
    /// POSIX 2001: records for whatever does not fit.
    Pax,
}

/// One entry of an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    kind: u8,
    name: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
    owner: (i64, i64),
    mtime: i64,
    device: (u32, u32),
    content: Vec<u8>,
    records: Vec<(Vec<u8>, Vec<u8>)>,
    form: Form,
}

impl Entry {
    /// An entry of any kind.
    #[must_use]
    pub fn new(kind: u8, name: impl AsRef<[u8]>, mode: u32) -> Self {
        Self {
            kind,
            name: name.as_ref().to_vec(),
            link: Vec::new(),
            mode,
            owner: (0, 0),
            mtime: MTIME,
            device: (0, 0),
            content: Vec::new(),
            records: Vec::new(),
            form: Form::Pax,
        }
    }

    /// A regular file.
    #[must_use]
    pub fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let mut entry = Self::new(b'0', name, 0o644);
        entry.content = content.as_ref().to_vec();
        entry
    }

    /// A directory.
    #[must_use]
    pub fn dir(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'5', name, 0o755)
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let mut entry = Self::new(b'2', name, 0o777);
        entry.link = target.as_ref().to_vec();
        entry
    }

    /// A hard link.
    #[must_use]
    pub fn hardlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let mut entry = Self::new(b'1', name, 0o644);
        entry.link = target.as_ref().to_vec();
        entry
    }

    /// A device: `3` of characters, `4` of blocks.
    #[must_use]
    pub fn device(kind: u8, name: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        let mut entry = Self::new(kind, name, 0o660);
        entry.device = (major, minor);
        entry
    }

    /// A pipe with a name.
    #[must_use]
    pub fn fifo(name: impl AsRef<[u8]>) -> Self {
        Self::new(b'6', name, 0o600)
    }

    /// What removes `name` of the layers below.
    #[must_use]
    pub fn whiteout(folder: &str, name: &str) -> Self {
        let slash = if folder.is_empty() { "" } else { "/" };
        Self::file(format!("{folder}{slash}.wh.{name}"), "").mode(0)
    }

    /// What hides all that the layers below have in `folder`.
    #[must_use]
    pub fn opaque(folder: &str) -> Self {
        Self::whiteout(folder, ".wh..opq")
    }

    /// With these permissions.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// With this owner and group.
    #[must_use]
    pub fn owner(mut self, user: i64, group: i64) -> Self {
        self.owner = (user, group);
        self
    }

    /// Changed last then.
    #[must_use]
    pub fn mtime(mut self, seconds: i64) -> Self {
        self.mtime = seconds;
        self
    }

    /// In this form.
    #[must_use]
    pub fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// With another name for what it links to.
    #[must_use]
    pub fn link(mut self, target: impl AsRef<[u8]>) -> Self {
        self.link = target.as_ref().to_vec();
        self
    }

    /// With a PAX record.
    #[must_use]
    pub fn record(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.records
            .push((key.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// With an extended attribute, as star, GNU tar and Go write them.
    #[must_use]
    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.record(format!("SCHILY.xattr.{name}"), value)
    }

    /// All of its blocks.
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut records = self.records.clone();
        match self.form {
            Form::Gnu => {
                long(&mut out, b'K', &self.link);
                long(&mut out, b'L', &self.name);
            }
            Form::Pax => records.extend(self.overflow()),
            Form::V7 | Form::Ustar => {}
        }
        if !records.is_empty() {
            let mut text = Vec::new();
            for (key, value) in &records {
                record(&mut text, key, value);
            }
            let mut header = Self::file("PaxHeaders/x", &text).form(Form::Ustar);
            header.kind = b'x';
            out.extend(header.bytes());
        }
        out.extend(self.header());
        padded(&mut out, &self.content);
        out
    }

    /// What an old header has no room for.
    fn overflow(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut records = Vec::new();
        let has = |key: &[u8]| self.records.iter().any(|(known, _)| known == key);
        let mut put = |key: &str, fits: bool, value: Vec<u8>| {
            if !fits && !has(key.as_bytes()) {
                records.push((key.as_bytes().to_vec(), value));
            }
        };
        let number = |value: i64| value.to_string().into_bytes();
        let octal = |value: i64, digits: u32| (0..1 << (3 * digits)).contains(&value);
        put("path", self.name.len() <= 100, self.name.clone());
        put("linkpath", self.link.len() <= 100, self.link.clone());
        put("uid", octal(self.owner.0, 7), number(self.owner.0));
        put("gid", octal(self.owner.1, 7), number(self.owner.1));
        put("mtime", octal(self.mtime, 11), number(self.mtime));
        records
    }

    fn header(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, most: usize, bytes: &[u8]| {
            let length = bytes.len().min(most);
            block[at..at + length].copy_from_slice(&bytes[..length]);
        };
        let (prefix, name) = match self.form {
            Form::Ustar => split(&self.name),
            _ => (&[][..], &self.name[..]),
        };
        put(0, 100, name);
        put(157, 100, &self.link);
        let kind = match (self.form, self.kind) {
            (Form::V7, b'0') => 0,
            (_, kind) => kind,
        };
        put(156, 1, &[kind]);
        match self.form {
            Form::V7 => {}
            Form::Gnu => put(257, 8, b"ustar  \0"),
            Form::Ustar | Form::Pax => {
                put(257, 8, b"ustar\x0000");
                put(345, 155, prefix);
            }
        }
        let size = i64::try_from(self.content.len()).expect("it is in memory");
        let device = (i64::from(self.device.0), i64::from(self.device.1));
        let numbers = [
            (100, 8, i64::from(self.mode)),
            (108, 8, self.owner.0),
            (116, 8, self.owner.1),
            (124, 12, size),
            (136, 12, self.mtime),
            (329, 8, device.0),
            (337, 8, device.1),
        ];
        let numbers = numbers
            .iter()
            .filter(|(at, ..)| self.form != Form::V7 || *at < 200);
        for (at, width, value) in numbers {
            put(*at, *width, &self.number(*value, *width));
        }
        sum(&mut block);
        block
    }

    /// A number in octal digits, or in binary where GNU does so.
    fn number(&self, value: i64, width: usize) -> Vec<u8> {
        let digits = width - 1;
        let bits = u32::try_from(3 * digits).expect("fields are short");
        if (0..1_i64 << bits.min(62)).contains(&value) {
            return format!("{value:0digits$o}").into_bytes();
        }
        if self.form != Form::Gnu {
            return format!("{:0digits$o}", 0).into_bytes();
        }
        let mut bytes = vec![if value < 0 { 0xff } else { 0 }; width];
        let start = width.saturating_sub(8);
        let last = width.min(8);
        bytes[start..].copy_from_slice(&value.to_be_bytes()[8 - last..]);
        bytes[0] |= 0x80;
        bytes
    }
}

/// An archive in the making.
#[derive(Debug, Clone, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    /// An archive of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry.
    #[must_use]
    pub fn with(mut self, entry: Entry) -> Self {
        self.bytes.extend(entry.bytes());
        self
    }

    /// Adds entries.
    #[must_use]
    pub fn all(self, entries: impl IntoIterator<Item = Entry>) -> Self {
        entries.into_iter().fold(self, Self::with)
    }

    /// Adds blocks as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// The archive with the two empty blocks that end it.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    /// The archive without an end.
    #[must_use]
    pub fn endless(self) -> Vec<u8> {
        self.bytes
    }
}

/// The ways in which GNU tar writes files with holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sparse {
    /// Before PAX: the map is in the header and in blocks behind it.
    Old,
    /// A record for each number.
    V00,
    /// One record with all numbers.
    V01,
    /// The map stands before the data.
    V10,
}

/// A file with holes: `pieces` are places and contents, in order, `size` is that of the whole.
#[must_use]
pub fn sparse(how: Sparse, name: &str, size: u64, pieces: &[(u64, &[u8])]) -> Vec<u8> {
    let data: Vec<u8> = pieces.iter().flat_map(|(_, data)| data.to_vec()).collect();
    let map: Vec<(u64, u64)> = pieces
        .iter()
        .map(|(at, data)| (*at, data.len() as u64))
        .collect();
    let count = map.len().to_string();
    let real = size.to_string();
    let entry = Entry::file(name, &data);
    match how {
        Sparse::Old => old_sparse(&entry, size, &map),
        Sparse::V00 => {
            let entry = entry
                .record("GNU.sparse.size", &real)
                .record("GNU.sparse.numblocks", &count);
            let entry = map.iter().fold(entry, |entry, (at, length)| {
                entry
                    .record("GNU.sparse.offset", at.to_string())
                    .record("GNU.sparse.numbytes", length.to_string())
            });
            entry.bytes()
        }
        Sparse::V01 => {
            let numbers: Vec<String> = map.iter().map(|(at, len)| format!("{at},{len}")).collect();
            let mut entry = entry
                .record("GNU.sparse.size", &real)
                .record("GNU.sparse.numblocks", &count)
                .record("GNU.sparse.map", numbers.join(","))
                .record("GNU.sparse.name", name);
            entry.name = format!("GNUSparseFile.0/{name}").into_bytes();
            entry.bytes()
        }
        Sparse::V10 => {
            let mut head = format!("{count}\n");
            for (at, length) in &map {
                head += &format!("{at}\n{length}\n");
            }
            let mut head = head.into_bytes();
            head.resize(head.len().next_multiple_of(BLOCK), 0);
            let mut entry = Entry::file(format!("GNUSparseFile.0/{name}"), [head, data].concat());
            entry = entry
                .record("GNU.sparse.major", "1")
                .record("GNU.sparse.minor", "0")
                .record("GNU.sparse.name", name)
                .record("GNU.sparse.realsize", &real);
            entry.bytes()
        }
    }
}

fn old_sparse(entry: &Entry, size: u64, map: &[(u64, u64)]) -> Vec<u8> {
    let mut entry = entry.clone().form(Form::Gnu);
    entry.kind = b'S';
    let mut header = entry.header();
    let field = |block: &mut [u8], at: usize, number: u64| {
        block[at..at + 12].copy_from_slice(format!("{number:011o}\0").as_bytes());
    };
    let fill = |block: &mut [u8], from: usize, part: &[(u64, u64)]| {
        for (n, (at, length)) in part.iter().enumerate() {
            field(block, from + 24 * n, *at);
            field(block, from + 24 * n + 12, *length);
        }
    };
    let (first, rest) = map.split_at(map.len().min(4));
    fill(&mut header, 386, first);
    header[482] = u8::from(!rest.is_empty());
    field(&mut header, 483, size);
    sum(&mut header);
    let mut out = header.to_vec();
    let mut chunks = rest.chunks(21).peekable();
    while let Some(chunk) = chunks.next() {
        let mut block = [0; BLOCK];
        fill(&mut block, 0, chunk);
        block[504] = u8::from(chunks.peek().is_some());
        out.extend(block);
    }
    padded(&mut out, &entry.content);
    out
}

/// A GNU entry with a name of any length, where one is needed.
fn long(out: &mut Vec<u8>, kind: u8, name: &[u8]) {
    if name.len() > 100 {
        let mut entry = Entry::file("././@LongLink", [name, b"\0"].concat()).form(Form::Ustar);
        entry.kind = kind;
        out.extend(entry.bytes());
    }
}

/// Prefix and name of a path that is too long for the name alone.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    if name.len() <= 100 {
        return (&[], name);
    }
    let slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let mut places = slashes.map(|(at, _)| at);
    let fits = |at: &usize| *at <= 155 && name.len() - at - 1 <= 100;
    let at = places.find(fits).expect("it fits into prefix and name");
    (&name[..at], &name[at + 1..])
}

fn sum(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn padded(out: &mut Vec<u8>, content: &[u8]) {
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

/// A PAX record, its own length in front.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}
