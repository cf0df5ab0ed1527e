//! Every kind of entry, and what headers can say of one.

use super::tar::{Entry, Form, MTIME, Sparse, Tar, sparse};
use super::{Case, base};

pub(super) fn cases() -> Vec<Case> {
    [attributes(), names(), twice(), sparse_files()].concat()
}

/// What an entry is and who owns it.
fn attributes() -> Vec<Case> {
    vec![
        Case::of("kinds", [Tar::new().all(kinds())]),
        Case::of(
            "contiguous",
            [Tar::new().with(Entry::new(b'7', "contiguous", 0o640))],
        )
        .but("Docker knows no contiguous files, which are files like all others (POSIX)"),
        Case::of("modes", [Tar::new().all(modes())]),
        Case::of("owners", [Tar::new().all(owners())]),
        Case::of("times-pax", [Tar::new().all(times())]),
        Case::of("times-gnu", [Tar::new().all(gnu_times())]),
        Case::of("xattrs", [Tar::new().all(xattrs())]),
        Case::of("xattrs-libarchive", [Tar::new().all(libarchive_xattrs())]),
        Case::of("access-lists", [Tar::new().all(access_lists())]).but(
            "a default list counts for what is made there later, not for what the archive has",
        ),
        Case::of("capabilities", [Tar::new().all(capabilities())]),
        Case::of(
            "capability-of-a-link",
            [Tar::new().all(linked_capability())],
        )
        .but("Docker takes a file's capabilities away when it has a second name"),
        Case::of("links-say-more", [Tar::new().all(telling_links())]),
        Case::of(
            "records-for-all",
            [Tar::new()
                .with(Entry::new(b'g', "pax_global_header", 0o666))
                .with(Entry::file("after", "x"))],
        ),
        Case::of("sizes", [Tar::new().all(sizes())]),
    ]
}

/// One of each.
fn kinds() -> Vec<Entry> {
    vec![
        Entry::dir("dir"),
        Entry::file("dir/file", "content"),
        Entry::file("empty", ""),
        Entry::symlink("link", "dir/file"),
        Entry::symlink("broken", "/no/where"),
        Entry::symlink("dots", "../../../../etc"),
        Entry::hardlink("hard", "dir/file"),
        Entry::hardlink("dir/harder", "hard"),
        Entry::hardlink("linked-link", "link").mode(0o777),
        Entry::device(b'3', "char", 5, 1),
        Entry::device(b'3', "char-large", 250, 70_000),
        Entry::device(b'4', "block", 8, 17),
        Entry::fifo("fifo"),
        Entry::hardlink("fifo-twin", "fifo").mode(0o600),
        Entry::hardlink("char-twin", "char").mode(0o660),
    ]
}

fn modes() -> Vec<Entry> {
    let mut all = Vec::new();
    let modes = [
        0, 0o1, 0o111, 0o222, 0o444, 0o600, 0o777, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777,
    ];
    for mode in modes {
        all.push(Entry::file(format!("file-{mode:o}"), "x").mode(mode));
        all.push(Entry::dir(format!("dir-{mode:o}")).mode(mode));
        all.push(Entry::file(format!("dir-{mode:o}/inner"), "x").mode(mode));
        all.push(
            Entry::file(format!("owned-{mode:o}"), "x")
                .mode(mode)
                .owner(33, 44),
        );
        all.push(Entry::fifo(format!("fifo-{mode:o}")).mode(mode));
    }
    // Some programs put the kind into the mode as well.
    all.push(Entry::file("typed", "x").mode(0o100_644));
    all
}

fn owners() -> Vec<Entry> {
    let mut all = Vec::new();
    let owners: [i64; 6] = [1, 65_534, 65_536, 2_097_151, 2_097_152, 4_294_967_294];
    for owner in owners {
        for (form, name) in [(Form::Pax, "pax"), (Form::Gnu, "gnu")] {
            let group = 4_294_967_294 - owner;
            let at = format!("{name}-{owner}");
            all.push(Entry::dir(&at).owner(owner, group).form(form));
            all.push(
                Entry::file(format!("{at}/file"), "x")
                    .owner(owner, group)
                    .form(form),
            );
            let link = Entry::symlink(format!("{at}/link"), "file");
            all.push(link.owner(owner, group).form(form));
            let fifo = Entry::fifo(format!("{at}/fifo")).owner(group, owner);
            all.push(fifo.form(form));
        }
    }
    all
}

fn times() -> Vec<Entry> {
    let times = [
        "0",
        "0.000000001",
        "1.5",
        "-1",
        "-1.25",
        "-1000000000",
        "1234567890.123456789",
        "1234567890.1234567891234",
        "4294967296",
        "15032385535",
        "1000000000.",
    ];
    let mut all = Vec::new();
    for (number, time) in times.iter().enumerate() {
        let timed = |entry: Entry| entry.record("mtime", time).record("atime", "77.5");
        all.push(timed(Entry::dir(format!("{number}"))));
        all.push(timed(Entry::file(format!("{number}/file"), "x")));
        all.push(timed(Entry::symlink(format!("{number}/link"), "file")));
        all.push(timed(Entry::fifo(format!("{number}/fifo"))).record("ctime", "99"));
    }
    all
}

fn gnu_times() -> Vec<Entry> {
    let times = [0, 1, -1, -2_000_000_000, 4_294_967_296, 8_589_934_592];
    let timed = |time: i64| {
        let name = format!("at{time}");
        let dir = Entry::dir(&name).mtime(time).form(Form::Gnu);
        let file = Entry::file(format!("{name}/file"), "x");
        [dir, file.mtime(time).form(Form::Gnu)]
    };
    times.into_iter().flat_map(timed).collect()
}

fn xattrs() -> Vec<Entry> {
    let long = vec![b'v'; 1500];
    vec![
        Entry::dir("dir")
            .xattr("user.on", "a directory")
            .xattr("trusted.on", "a directory"),
        Entry::file("dir/file", "x")
            .xattr("user.text", "value")
            .xattr("user.empty", "")
            .xattr("user.binary", b"\x00\x01\xff=\n ")
            .xattr("user.long", &long),
        Entry::file("read-only", "x")
            .mode(0o400)
            .owner(7, 7)
            .xattr("user.text", "value"),
        Entry::file("trusted", "x").xattr("trusted.text", "value"),
        Entry::file("twice", "x")
            .xattr("user.text", "first")
            .xattr("user.text", "second"),
        Entry::hardlink("hard", "dir/file"),
        Entry::file("name=equals", "x").xattr("user.a.b.c", "dots"),
    ]
}

/// bsdtar's own form, which needs no star.
fn libarchive_xattrs() -> Vec<Entry> {
    vec![
        Entry::file("both", "x")
            .record("LIBARCHIVE.xattr.user.text", "dmFsdWU")
            .xattr("user.text", "value"),
        Entry::file("only", "x")
            .record("LIBARCHIVE.xattr.user.text", "dmFsdWU")
            .record("LIBARCHIVE.creationtime", "1234567890.5"),
    ]
}

fn access_lists() -> Vec<Entry> {
    // Version 2; the owner, user 1000, the group, the mask, all others.
    let mut list = vec![2, 0, 0, 0];
    let entries: [(u16, u16, u32); 5] = [
        (1, 7, u32::MAX),
        (2, 5, 1000),
        (4, 5, u32::MAX),
        (0x10, 5, u32::MAX),
        (0x20, 1, u32::MAX),
    ];
    for (tag, rights, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    vec![
        Entry::dir("dir")
            .mode(0o751)
            .xattr("system.posix_acl_access", &list)
            .xattr("system.posix_acl_default", &list),
        Entry::file("dir/plain", "x").mode(0o640),
        Entry::dir("dir/inner").mode(0o750),
        Entry::file("listed", "x")
            .mode(0o751)
            .xattr("system.posix_acl_access", &list),
        Entry::file("written", "x").record("SCHILY.acl.access", "user::rwx,group::r-x,other::r-x"),
    ]
}

/// `security.capability` as the kernel keeps it.
pub(super) fn capability(permitted: u32) -> Vec<u8> {
    let words = [0x0200_0001, permitted, 0, 0, 0_u32];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn capabilities() -> Vec<Entry> {
    let rooted = [
        &[1, 0, 0, 3][..],
        &capability(1 << 10)[4..],
        &1000_u32.to_le_bytes(),
    ]
    .concat();
    let name = "security.capability";
    vec![
        Entry::file("ping", "x")
            .mode(0o755)
            .xattr(name, capability(1 << 13)),
        Entry::file("owned", "x")
            .mode(0o755)
            .owner(1000, 1000)
            .xattr(name, capability(1 << 10)),
        Entry::file("setuid", "x")
            .mode(0o4755)
            .owner(1000, 1000)
            .xattr(name, capability(1 << 10))
            .xattr("user.text", "too"),
        Entry::file("rooted", "x").mode(0o755).xattr(name, rooted),
    ]
}

fn linked_capability() -> Vec<Entry> {
    let value = capability(1 << 13);
    vec![
        Entry::file("ping", "x")
            .mode(0o755)
            .xattr("security.capability", value),
        Entry::hardlink("twin", "ping").mode(0o755),
    ]
}

/// Hard links whose headers say other things than the file's.
fn telling_links() -> Vec<Entry> {
    vec![
        Entry::file("a", "content").mode(0o640).owner(5, 6),
        Entry::hardlink("a-owned", "a").mode(0o640).owner(7, 8),
        Entry::file("b", "content").mode(0o640),
        Entry::hardlink("b-opened", "b").mode(0o666),
        Entry::file("c", "content").mtime(MTIME),
        Entry::hardlink("c-touched", "c").mtime(MTIME + 99),
        Entry::file("d", "content").mode(0o4755).owner(9, 9),
        Entry::hardlink("d-owned", "d").mode(0o4755).owner(10, 10),
        Entry::file("e", "content"),
        Entry::hardlink("e-marked", "e").xattr("user.text", "of the link"),
        Entry::dir("f"),
        Entry::file("f/g", "content"),
        Entry::hardlink("f/h", "/f/g"),
        Entry::hardlink("f/i", "./f/../f/g"),
    ]
}

fn sizes() -> Vec<Entry> {
    let sizes = [1, 511, 512, 513, 1024, 65_536, 262_143, 262_145, 3_000_000];
    let file = |size: usize| {
        let content: Vec<u8> = (0..size).map(|n| (n * n % 251).to_le_bytes()[0]).collect();
        Entry::file(format!("of-{size}"), content)
    };
    sizes.into_iter().map(file).collect()
}

/// What things are called.
fn names() -> Vec<Case> {
    let component = "n".repeat(60);
    let long = format!("{component}/{component}/{component}/file");
    let ustar = |entry: Entry| entry.form(Form::Ustar);
    let gnu = |entry: Entry| entry.form(Form::Gnu);
    vec![
        Case::of("v7", [Tar::new().all(old())]),
        Case::of(
            "names-ustar",
            [Tar::new().all([
                ustar(Entry::dir(format!("{component}/{component}/"))),
                ustar(Entry::file(&long, "x")),
                ustar(Entry::symlink(format!("{component}/link"), "l".repeat(100))),
            ])],
        ),
        Case::of(
            "names-gnu",
            [Tar::new().all([
                gnu(Entry::file(&long, "x")),
                gnu(Entry::symlink("link", "t".repeat(1000))),
                gnu(Entry::hardlink("hard", &long)),
                gnu(Entry::hardlink(format!("{long}-twin"), &long)),
            ])],
        ),
        Case::of(
            "names-pax",
            [Tar::new().all([
                Entry::file(&long, "x"),
                Entry::symlink("link", "t".repeat(1000)),
                Entry::hardlink("hard", &long),
                Entry::file("wrong", "x").record("path", "right"),
            ])],
        ),
        Case::of("names-odd", [Tar::new().all(odd_names())]),
        Case::of("names-spelt", [Tar::new().all(spelt_names())]),
        Case::of("names-deep", [Tar::new().all(deep_names())]),
        Case::of(
            "root",
            [
                Tar::new()
                    .with(
                        Entry::dir("./")
                            .mode(0o700)
                            .owner(12, 13)
                            .xattr("user.root", "yes"),
                    )
                    .with(Entry::file("./file", "x")),
                Tar::new().with(Entry::file("other", "x")),
            ],
        ),
    ]
}

fn old() -> Vec<Entry> {
    let all = [
        Entry::file("file", "x").owner(1, 2),
        Entry::file("dir/", ""),
        Entry::file("dir/inner", "x").mode(0o4711),
        Entry::hardlink("hard", "file").owner(1, 2),
        Entry::symlink("link", "dir"),
    ];
    all.map(|entry| entry.form(Form::V7)).to_vec()
}

fn odd_names() -> Vec<Entry> {
    let names: [&[u8]; 14] = [
        b"with space",
        b" leading",
        b"trailing ",
        b"new\nline",
        b"tab\tand\x1b[31mred",
        b"back\\slash",
        b"\xff\xfe not utf-8",
        "größe-日本語-🐳".as_bytes(),
        "cafe\u{301}".as_bytes(),
        b"-rf",
        b"...",
        b"wh.file",
        b"a.wh.b",
        b"%s$HOME`id`;&|<>*?[]{}'\"",
    ];
    let mut all: Vec<Entry> = names
        .iter()
        .map(|name| Entry::file(name, "x").record("path", name))
        .collect();
    all.push(Entry::file("l".repeat(255), "x"));
    all.push(Entry::dir(b"dir \xff"));
    all.push(Entry::file(b"dir \xff/\xfe", "x"));
    all.push(Entry::symlink(b"to \xff", b"dir \xff/\xfe"));
    all
}

/// One place in many spellings.
fn spelt_names() -> Vec<Entry> {
    vec![
        Entry::dir("./dot/"),
        Entry::file("./dot/file", "x"),
        Entry::file("/absolute", "x"),
        Entry::file("//double//slash", "x"),
        Entry::file("dot/../back", "x"),
        Entry::file("dot/./still", "x"),
        Entry::new(b'0', "as-file/", 0o755),
        Entry::dir("nearly").mode(0o750),
        Entry::file("nearly/", "").mode(0o751),
        Entry::symlink("/abs-link", "/dot/file"),
        Entry::hardlink("/abs-hard", "/dot/file"),
    ]
}

fn deep_names() -> Vec<Entry> {
    let mut path = String::new();
    for depth in 0..120 {
        path += &format!("d{depth}/");
    }
    let wide = "w".repeat(250);
    let wide = [wide.as_str(); 12].join("/");
    vec![
        Entry::file(format!("{path}file"), "deep"),
        Entry::dir(&path).mode(0o700),
        Entry::file(&wide, "wide"),
        Entry::hardlink("up", format!("{path}file")),
    ]
}

/// What comes more than once, or in an unusual order.
fn twice() -> Vec<Case> {
    vec![
        Case::of("duplicates", [Tar::new().all(duplicates())]),
        Case::of("duplicates-above", [base(), Tar::new().all(duplicates())]),
        Case::of(
            "duplicates-of-folders",
            [Tar::new().all([
                Entry::dir("to-file"),
                Entry::dir("to-file/inner"),
                Entry::file("to-file/inner/gone", "x"),
                Entry::file("to-file", "x"),
            ])],
        )
        .but("Docker fails: it goes back to set the time of a directory that is no more"),
        Case::of(
            "child-first",
            [Tar::new().all([
                Entry::file("a/b/c/file", "x"),
                Entry::dir("a/b/c").mode(0o700).owner(1, 1),
                Entry::file("a/b/c/second", "x"),
                Entry::dir("a").mode(0o711).mtime(MTIME + 1),
                Entry::dir("a/b").mode(0o1777).xattr("user.late", "yes"),
            ])],
        ),
        Case::of(
            "no-parents",
            [Tar::new().all([
                Entry::file("a/b/file", "x"),
                Entry::symlink("c/d/link", "x"),
                Entry::fifo("e/f/fifo"),
                Entry::hardlink("g/h/hard", "a/b/file"),
                Entry::dir("i/j/dir").mode(0o700),
            ])],
        ),
        Case::of(
            "read-only-parents",
            [Tar::new().all([
                Entry::dir("a").mode(0o500),
                Entry::file("a/file", "x"),
                Entry::dir("a/b").mode(0),
                Entry::file("a/b/file", "x"),
            ])],
        ),
    ]
}

fn duplicates() -> Vec<Entry> {
    vec![
        Entry::file("file", "first, and longer"),
        Entry::file("file", "second").mode(0o600),
        Entry::dir("dir").mode(0o700).xattr("user.first", "1"),
        Entry::file("dir/kept", "x"),
        Entry::dir("dir").mode(0o711).xattr("user.second", "2"),
        Entry::symlink("link", "file"),
        Entry::file("link", "no link any more"),
        Entry::file("to-dir", "x"),
        Entry::dir("to-dir").mode(0o750),
        Entry::file("to-dir/inner", "x"),
        Entry::dir("to-file"),
        Entry::file("to-file", "x"),
        Entry::dir("to-link"),
        Entry::file("to-link/gone", "x"),
        Entry::symlink("to-link", "dir"),
        Entry::file("hard", "one"),
        Entry::hardlink("twin", "hard"),
        Entry::file("hard", "another"),
        Entry::fifo("pipe"),
        Entry::device(b'3', "pipe", 1, 5),
        Entry::hardlink("twin", "file").mode(0o600),
    ]
}

fn sparse_files() -> Vec<Case> {
    let few: &[(u64, &[u8])] = &[(0, b"start"), (4096, b"middle"), (100_000, b"end")];
    let many: Vec<(u64, &[u8])> = (0..60).map(|n| (n * 8192, &b"piece"[..])).collect();
    // Programs write where the end is, when there is nothing before it.
    let hole: &[(u64, &[u8])] = &[(10_000_000, b"")];
    let of = |how| {
        let tar = Tar::new()
            .raw(&sparse(how, "few", 200_000, few))
            .raw(&sparse(how, "many", 500_000, &many))
            .raw(&sparse(how, "hole", 10_000_000, hole))
            .raw(&sparse(how, "to-the-end", 100_003, few));
        tar.with(Entry::file("after", "x"))
    };
    vec![
        Case::of("sparse-old", [of(Sparse::Old)])
            .but("Docker does not know what GNU tar -S writes"),
        Case::of("sparse-0.0", [of(Sparse::V00)]),
        Case::of("sparse-0.1", [of(Sparse::V01)]),
        Case::of("sparse-1.0", [of(Sparse::V10)]),
    ]
}
