//! The tags of a repository, page after page.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fake;

use dhow_distribution::{Credentials, Error, Registry, RegistryConfig, Repository};
use dhow_oci::Reference;

use fake::{Response, Server};

fn repository(server: &Server) -> Repository {
    let name = Reference::parse(&format!("{}/a/b", server.host())).unwrap();
    Registry::new(RegistryConfig::default())
        .unwrap()
        .repository(&name, &Credentials::anonymous())
}

#[tokio::test]
async fn pages_are_followed_within_the_registry() {
    let server = Server::start(|request| {
        let link = "<https://elsewhere.example/v2/a/b/tags/list?last=b>; rel=\"next\"";
        if request.path.contains("last=b") {
            Response::ok(r#"{"name":"a/b","tags":["c"]}"#)
        } else {
            Response::ok(r#"{"name":"a/b","tags":["a","b"]}"#).header("Link", link)
        }
    });
    assert_eq!(repository(&server).tags().await.unwrap(), ["a", "b", "c"]);
    assert_eq!(server.count("GET", "/v2/a/b/tags/list"), 2);
}

#[tokio::test]
async fn a_registry_that_never_ends_its_list_ends_here() {
    let server = Server::start(|_| {
        let link = "</v2/a/b/tags/list?last=a>; rel=\"next\"";
        Response::ok(r#"{"tags":["a"]}"#).header("Link", link)
    });
    assert_eq!(repository(&server).tags().await.unwrap(), ["a"]);
    let none = Server::start(|_| Response::ok(r#"{"tags":null}"#));
    assert!(repository(&none).tags().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_named() {
    let server =
        Server::start(|_| fake::missing("NAME_UNKNOWN", "repository name not known to registry"));
    let error = repository(&server).tags().await.unwrap_err();
    assert!(matches!(error, Error::NoRepository { .. }), "{error:?}");
    let expected = format!(
        "repository {}/a/b not found: name unknown: repository name not known to registry",
        server.host()
    );
    assert_eq!(error.to_string(), expected);
}
