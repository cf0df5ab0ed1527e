//! Pulling through what goes wrong.

use std::time::{Duration, Instant};

use dhow_testkit::faults::{Asked, Fault, FaultProxy, random};

use crate::bed::Bed;

fn rounds() -> u64 {
    let set = std::env::var("DHOW_FAULT_ROUNDS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// Whether it is one of the larger layers that is asked for.
fn is_layer(asked: &Asked) -> bool {
    asked.method == "GET" && asked.path.contains("/blobs/")
}

/// Things go wrong at random, but not for ever: every pull comes through.
#[test]
fn whoever_goes_on_gets_all_of_it() {
    let Some(bed) = Bed::new() else { return };
    for seed in 0..rounds() {
        let proxy = bed.proxy(random(seed, 3));
        let host = proxy.host();
        let pulled = bed.pull(&host, None);
        assert_eq!(pulled, Ok(()), "seed {seed}: {:#?}", proxy.asked());
        bed.is_whole(&host);
    }
    bed.has_nothing();
}

/// What always goes wrong is one error, leaves no image, and harms nothing for the next pull.
#[test]
fn what_always_goes_wrong_is_one_error() {
    let Some(bed) = Bed::new() else { return };
    let secret = ("X-Secret".to_owned(), "x".to_owned());
    let always = [
        Fault::Corrupt(12_345),
        Fault::Cut(1000),
        Fault::HangUp,
        Fault::Length(-1000),
        Fault::status(404),
        Fault::status(403),
        Fault::status(500),
        Fault::status(301),
        Fault::status(204),
        Fault::Answer(200, vec![secret], b"something else".to_vec()),
        Fault::redirect("file:///etc/shadow"),
        Fault::redirect("gopher://localhost/"),
        Fault::redirect("http:///"),
        Fault::redirect("//[::1"),
    ];
    for fault in always {
        let planned = fault.clone();
        let proxy = bed.proxy(move |asked| match is_layer(asked) {
            true => planned.clone(),
            false => Fault::None,
        });
        let begun = Instant::now();
        let pulled = bed.pull(&proxy.host(), None);
        assert!(pulled.is_err(), "{fault:?}: {:#?}", proxy.asked());
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(60), "{fault:?} took {took:?}");
        bed.has_nothing();
        let asked = proxy.asked().len();
        assert!(asked < 100, "{fault:?}: asked {asked} times");
    }
    let host = bed.registry.host();
    assert_eq!(bed.pull(&host, None), Ok(()));
    bed.is_whole(&host);
}

/// The same of manifests and configurations.
#[test]
fn wrong_documents_are_one_error() {
    let Some(bed) = Bed::new() else { return };
    let endless = vec![b'['; 9 << 20];
    let always = [
        Fault::Corrupt(40),
        Fault::Cut(20),
        Fault::Endless,
        Fault::Length(5),
        Fault::Answer(200, Vec::new(), endless),
        Fault::Answer(200, Vec::new(), Vec::new()),
        Fault::redirect("file:///etc/shadow"),
    ];
    for fault in always {
        let planned = fault.clone();
        let proxy = bed.proxy(move |asked| {
            let document = asked.method == "GET" && asked.path.contains("/manifests/");
            match document {
                true => planned.clone(),
                false => Fault::None,
            }
        });
        let pulled = bed.pull(&proxy.host(), None);
        assert!(pulled.is_err(), "{fault:?}: {:#?}", proxy.asked());
        bed.has_nothing();
    }
}

/// A transfer that breaks is gone on with where it broke.
#[test]
fn nothing_is_fetched_twice() {
    let Some(bed) = Bed::new() else { return };
    // Every transfer ends after 100 kB; of an answer that has all of it, that was not asked for, too.
    let proxy = bed.proxy(|asked| match is_layer(asked) {
        true => Fault::Cut(100_000),
        false => Fault::None,
    });
    assert_eq!(bed.pull(&proxy.host(), None), Ok(()));
    let sent = proxy.sent();
    bed.is_whole(&proxy.host());
    let straight = bed.proxy(|_| Fault::None);
    assert_eq!(bed.pull(&straight.host(), None), Ok(()));
    let whole = straight.sent();
    bed.is_whole(&straight.host());
    assert!(
        sent <= whole + whole / 20,
        "{sent} bytes instead of {whole}"
    );
}

/// A server that tells another place of a part, or sends all where a part was asked for, does not mislead.
#[test]
fn parts_are_put_where_they_belong() {
    let Some(bed) = Bed::new() else { return };
    for odd in [Fault::NoRange, Fault::Range(7), Fault::Range(-7)] {
        let planned = odd.clone();
        let proxy = bed.proxy(
            move |asked| match (is_layer(asked), asked.range.is_empty()) {
                (true, true) => Fault::Cut(70_000),
                (true, false) => planned.clone(),
                _ => Fault::None,
            },
        );
        match bed.pull(&proxy.host(), None) {
            Ok(()) => bed.is_whole(&proxy.host()),
            Err(error) => {
                assert_ne!(odd, Fault::NoRange, "{error}");
                bed.has_nothing();
            }
        }
    }
}

/// Who is told to come back later does, when it was told to; whoever is sent away for good says so.
#[test]
fn rate_limits_are_waited_for() {
    let Some(bed) = Bed::new() else { return };
    let later = |seconds: &str| vec![("Retry-After".to_owned(), seconds.to_owned())];
    let first = std::sync::atomic::AtomicUsize::new(0);
    let proxy = bed.proxy(move |asked| {
        let again = asked.path.contains("/manifests/")
            && first.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        match again {
            true => Fault::Answer(429, later("1"), Vec::new()),
            false => Fault::None,
        }
    });
    let begun = Instant::now();
    assert_eq!(bed.pull(&proxy.host(), None), Ok(()));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    bed.is_whole(&proxy.host());
    let proxy = bed
        .proxy(move |_| Fault::Answer(429, vec![("Retry-After".into(), "0".into())], Vec::new()));
    let error = bed.pull(&proxy.host(), None).unwrap_err();
    assert!(
        error.contains("429") || error.to_lowercase().contains("too many"),
        "{error}"
    );
    bed.has_nothing();
}

/// A registry that is not on this machine may not send us to what only this machine can reach.
#[test]
fn redirects_do_not_cross_into_this_machine() {
    let Some(bed) = Bed::new() else { return };
    let pid = bed.bench.engine.pid();
    let inside = FaultProxy::start(Some(pid), &bed.registry.host(), |_| Fault::None);
    let port = inside.host().rsplit(':').next().unwrap().to_owned();
    for target in [
        "localhost",
        "127.0.0.1",
        "127.1.2.3",
        "[::1]",
        "0.0.0.0",
        "169.254.169.254",
    ] {
        let to = format!("http://{target}:{port}");
        let outside = bed.proxy(move |asked| match is_layer(asked) {
            true => Fault::redirect(&format!("{to}{}", asked.path)),
            false => Fault::None,
        });
        let insecure = outside.outer_host();
        let pulled = bed.pull(&insecure, None);
        let error = pulled.expect_err(target);
        assert!(error.contains("redirect"), "{target}: {error}");
        bed.has_nothing();
        assert_eq!(inside.asked().len(), 0, "{target} was asked");
    }
}
