//! Who gets to see a credential: the registry it is for, its token server, and nobody else.

use dhow_testkit::faults::{Asked, Fault};
use dhow_testkit::tokens::{TokenServer, base64};

use crate::bed::{Bed, STRANGER};

const USER: (&str, &str) = ("alice", "wonderland-7");

fn rights() -> dhow_testkit::tokens::Rights {
    vec![
        (
            USER.0,
            USER.1,
            vec!["repository:team/app:pull", "repository:own/app:pull,push"],
        ),
        ("", "", vec!["repository:public/app:pull"]),
    ]
}

fn secrets() -> Vec<String> {
    let pair = base64(format!("{}:{}", USER.0, USER.1).as_bytes());
    vec![
        USER.1.to_owned(),
        pair,
        "token-0-of".to_owned(),
        "refresh-".to_owned(),
    ]
}

fn shown(asked: &[Asked]) -> Vec<&str> {
    let shown = asked.iter().map(|asked| asked.authorization.as_str());
    shown.filter(|text| !text.is_empty()).collect()
}

/// Tokens are for what was asked: who may pull may not push, who may see one repository does not see another.
#[test]
fn tokens_are_asked_for_what_is_done() {
    let Some(bed) = Bed::new() else { return };
    let tokens = TokenServer::start(Some(bed.bench.engine.pid()), rights());
    let proxy = bed.proxy(tokens.guard(|_| Fault::None));
    let host = proxy.host();
    let refused = bed.pull(&host, None).unwrap_err();
    assert!(refused.contains("pull access denied"), "{refused}");
    let refused = bed.pull(&host, Some((USER.0, "wrong"))).unwrap_err();
    assert!(
        refused.contains("401") || refused.contains("denied"),
        "{refused}"
    );
    bed.has_nothing();
    assert_eq!(bed.pull(&host, Some(USER)), Ok(()));
    let scopes: Vec<String> = tokens
        .asked()
        .iter()
        .map(|asked| asked.path.clone())
        .collect();
    assert!(
        scopes.iter().all(|path| !path.contains("push")),
        "a pull asks for no more: {scopes:?}"
    );

    let own = format!("{host}/own/app:1");
    let _ = bed
        .bench
        .words_ok(&["tag", &format!("{host}/team/app:1"), &own]);
    assert_eq!(bed.push(&host, "own/app", Some(USER)), Ok(()));
    let _ = bed.bench.words_ok(&["rmi", &own]);
    let refused = bed.push(&host, "team/app", Some(USER)).unwrap_err();
    assert!(refused.contains("denied"), "{refused}");
    bed.is_whole(&host);
    let secrets = secrets();
    bed.kept_quiet(&secrets.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Where the registry sends to another place for content, that one is told nothing.
#[test]
fn nobody_else_is_shown_a_credential() {
    let Some(bed) = Bed::new() else { return };
    let storage = bed.proxy(|_| Fault::None);
    let tokens = TokenServer::start(Some(bed.bench.engine.pid()), rights());
    let to = storage.host();
    let proxy = bed.proxy(tokens.guard(move |asked| {
        match asked.method == "GET" && asked.path.contains("/blobs/") {
            true => Fault::redirect(&format!("http://{to}{}?signature=s3cret-sign", asked.path)),
            false => Fault::None,
        }
    }));
    assert_eq!(bed.pull(&proxy.host(), Some(USER)), Ok(()));
    assert!(storage.asked().len() > crate::bed::LAYERS);
    let seen = storage.asked();
    assert!(shown(&seen).is_empty(), "{seen:?}");
    let asked = proxy.asked();
    assert!(
        shown(&asked).iter().all(|text| text.starts_with("Bearer ")),
        "the registry gets tokens, not the password: {asked:?}"
    );
    bed.is_whole(&proxy.host());
    let mut secrets = secrets();
    secrets.push("s3cret-sign".to_owned());
    bed.kept_quiet(&secrets.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Uploads that the registry wants elsewhere go there without what authorizes them here.
#[test]
fn uploads_elsewhere_are_anonymous() {
    let Some(bed) = Bed::new() else { return };
    let storage = bed.proxy(|_| Fault::None);
    let tokens = TokenServer::start(Some(bed.bench.engine.pid()), rights());
    let to = storage.host();
    let proxy = bed.proxy(tokens.guard(move |asked| {
        match asked.method == "POST" && asked.path.contains("/blobs/uploads/") {
            true => {
                let location = format!("http://{to}/v2/own/app/blobs/uploads/none");
                Fault::Answer(202, vec![("Location".to_owned(), location)], Vec::new())
            }
            false => Fault::None,
        }
    }));
    let own = bed.registry.host();
    assert_eq!(bed.pull(&own, None), Ok(()));
    let name = format!("{}/own/app:1", proxy.host());
    let _ = bed
        .bench
        .words_ok(&["tag", &format!("{own}/team/app:1"), &name]);
    // The storage knows no such upload.
    assert!(bed.push(&proxy.host(), "own/app", Some(USER)).is_err());
    let seen = storage.asked();
    assert!(!seen.is_empty() && shown(&seen).is_empty(), "{seen:?}");
}

/// A token server that is another than yesterday's, a challenge that leads elsewhere: the password does not go over
/// plain HTTP to strangers.
#[test]
fn a_password_is_not_sent_to_strangers_in_the_clear() {
    let Some(bed) = Bed::new() else { return };
    let stranger = bed.proxy(|_| Fault::status(200));
    let port = stranger
        .host()
        .rsplit(':')
        .next()
        .map(str::to_owned)
        .unwrap();
    let realm = format!("http://{STRANGER}:{port}/token");
    let proxy = bed.proxy(move |_| {
        let value = format!("Bearer realm=\"{realm}\",service=\"x\"");
        Fault::Answer(
            401,
            vec![("WWW-Authenticate".to_owned(), value)],
            Vec::new(),
        )
    });
    let host = proxy.outer_host();
    let error = bed.pull(&host, Some(USER)).unwrap_err();
    bed.has_nothing();
    let seen = stranger.asked();
    assert!(shown(&seen).is_empty(), "{error}: {seen:?}");
    let secrets = secrets();
    bed.kept_quiet(&secrets.iter().map(String::as_str).collect::<Vec<_>>());
}
