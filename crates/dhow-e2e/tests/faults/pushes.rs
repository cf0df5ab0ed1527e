//! Pushing through what goes wrong.

use dhow_testkit::faults::{Fault, random};

use crate::bed::Bed;

/// Things go wrong at random, but not for ever: every push comes through, and what arrives is what was sent.
#[test]
fn whoever_goes_on_sends_all_of_it() {
    let Some(bed) = Bed::new() else { return };
    let own = bed.registry.host();
    assert_eq!(bed.pull(&own, None), Ok(()));
    for seed in 0..4 {
        let proxy = bed.proxy(random(100 + seed, 4));
        let name = format!("{}/round{seed}/app:1", proxy.host());
        let _ = bed
            .bench
            .words_ok(&["tag", &format!("{own}/team/app:1"), &name]);
        let pushed = bed.push(&proxy.host(), &format!("round{seed}/app"), None);
        assert_eq!(pushed, Ok(()), "seed {seed}: {:#?}", proxy.asked());
        let _ = bed.bench.words_ok(&["rmi", &name]);
        let back = format!("{own}/round{seed}/app:1");
        let _ = bed.bench.words_ok(&["pull", "-q", &back]);
        let id = |name: &str| {
            bed.bench
                .words_ok(&["image", "inspect", "-f", "{{.Id}}", name])
        };
        assert_eq!(id(&back), id(&format!("{own}/team/app:1")));
        let _ = bed.bench.words_ok(&["rmi", &back]);
    }
    bed.is_in_order();
}

/// What always goes wrong is one error.
#[test]
fn what_always_goes_wrong_is_one_error() {
    let Some(bed) = Bed::new() else { return };
    let own = bed.registry.host();
    assert_eq!(bed.pull(&own, None), Ok(()));
    let moved = |to: &str| {
        let fields = vec![("Location".to_owned(), to.to_owned())];
        Fault::Answer(202, fields, Vec::new())
    };
    for fault in [
        Fault::HangUp,
        Fault::CutRequest(100),
        Fault::status(403),
        Fault::status(500),
        Fault::status(202),
        moved("file:///tmp/x"),
        moved("ftp://localhost/x"),
        moved("::"),
    ] {
        let planned = fault.clone();
        let proxy = bed.proxy(move |asked| match asked.path.contains("/blobs/uploads/") {
            true => planned.clone(),
            false => Fault::None,
        });
        let name = format!("{}/never/app:1", proxy.host());
        let _ = bed
            .bench
            .words_ok(&["tag", &format!("{own}/team/app:1"), &name]);
        let pushed = bed.push(&proxy.host(), "never/app", None);
        assert!(pushed.is_err(), "{fault:?}: {:#?}", proxy.asked());
        assert!(proxy.asked().len() < 200, "{fault:?}");
        let _ = bed.bench.words_ok(&["rmi", &name]);
    }
    bed.is_whole(&own);
}
