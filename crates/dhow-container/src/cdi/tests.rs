#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::spec::DeviceRequest;

const YAML: &str = "
cdiVersion: 0.6.0
kind: vendor.com/net
annotations: {a: b}
devices:
  - name: one
    containerEdits:
      env: [ONE=1]
      deviceNodes:
        - {path: /dev/one, hostPath: /dev/null, permissions: rw}
      mounts:
        - {hostPath: /etc/hostname, containerPath: /one, options: [ro, rbind]}
      additionalGIDs: [7, 0]
  - name: all
    containerEdits:
      hooks:
        - {hookName: createContainer, path: /bin/true, args: [true, x], timeout: 5}
containerEdits:
  env: [COMMON=1]
";

fn json(kind: &str, device: &str, env: &str) -> Specification {
    let text = serde_json::json!({
        "cdiVersion": "1.0.0", "kind": kind,
        "devices": [{"name": device, "containerEdits": {"env": [env]}}],
    });
    Specification::read(&text.to_string(), Format::Json).unwrap()
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn devices_of_both_formats_are_found() {
    let mut known = Registry::default();
    known.add(0, Specification::read(YAML, Format::Yaml).unwrap());
    known.add(0, json("vendor.com/gpu", "g", "G=1"));
    let names = words(&[
        "vendor.com/net=one",
        "vendor.com/net=all",
        "vendor.com/gpu=g",
    ]);
    let edits = known.resolve(&names).unwrap();
    assert_eq!(edits.env, ["COMMON=1", "ONE=1", "G=1"]);
    assert_eq!(edits.device_nodes[0].host_path, "/dev/null");
    assert_eq!(edits.mounts[0].options, ["ro", "rbind"]);
    assert_eq!(edits.hooks[0].args, ["true", "x"]);
    assert_eq!(edits.additional_gids, [7]);
    let unknown = words(&["vendor.com/net=two", "vendor.com/net=one", "x=y"]);
    assert_eq!(
        known.resolve(&unknown).unwrap_err().to_string(),
        "CDI device injection failed: unresolvable CDI devices vendor.com/net=two, x=y"
    );
}

#[test]
fn the_higher_priority_counts_and_equal_ones_contradict() {
    let mut known = Registry::default();
    known.add(0, json("v.com/c", "d", "FROM=etc"));
    known.add(1, json("v.com/c", "d", "FROM=run"));
    let name = words(&["v.com/c=d"]);
    assert_eq!(known.resolve(&name).unwrap().env, ["FROM=run"]);
    known.add(1, json("v.com/c", "d", "FROM=other"));
    assert!(known.resolve(&name).is_err());
}

#[test]
fn gpus_are_devices_of_their_vendor() {
    let request = |driver: &str, count: i64, ids: &[&str]| DeviceRequest {
        driver: driver.into(),
        count,
        device_ids: words(ids),
        capabilities: vec![words(&["gpu"])],
        ..DeviceRequest::default()
    };
    let mut known = Registry::default();
    assert_eq!(
        names(&[request("", -1, &[])], &known)
            .unwrap_err()
            .to_string(),
        "could not select device driver \"\" with capabilities: [[gpu]]"
    );
    known.add(0, json("nvidia.com/gpu", "0", "A=1"));
    let found = |request: DeviceRequest| names(&[request], &known).unwrap();
    assert_eq!(found(request("", -1, &[])), ["nvidia.com/gpu=0"]);
    assert_eq!(found(request("nvidia", 1, &[])), ["nvidia.com/gpu=0"]);
    assert_eq!(found(request("", 0, &["u-1"])), ["nvidia.com/gpu=u-1"]);
    known.add(0, json("nvidia.com/gpu", "all", "A=1"));
    let all = names(&[request("", -1, &[])], &known).unwrap();
    assert_eq!(all, ["nvidia.com/gpu=all"]);
    assert!(names(&[request("amd", -1, &[])], &known).is_err());
}

#[test]
fn what_cannot_be_is_refused() {
    for (edits, text) in [
        (
            serde_json::json!({"env": ["x"]}),
            "invalid environment variable \"x\"",
        ),
        (
            serde_json::json!({"netDevices": [{}]}),
            "netDevices is not supported",
        ),
        (
            serde_json::json!({"intelRdt": {}}),
            "intelRdt is not supported",
        ),
        (
            serde_json::json!({"deviceNodes": [{"path": "x"}]}),
            "invalid device path \"x\"",
        ),
        (
            serde_json::json!({"hooks": [{"hookName": "x", "path": "/x"}]}),
            "invalid hook \"x\" \"/x\"",
        ),
    ] {
        let text_of = serde_json::json!({
            "cdiVersion": "0.5.0", "kind": "v.com/c", "containerEdits": edits,
        });
        let error = Specification::read(&text_of.to_string(), Format::Json).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
    let unknown = r#"{"cdiVersion": "9.0.0", "kind": "v.com/c"}"#;
    assert!(Specification::read(unknown, Format::Json).is_err());
}

#[test]
fn names_have_a_vendor_a_class_and_a_device() {
    for good in ["v.com/c=d", "v/c=0", "vendor.com/net-x=a:b.c_d"] {
        assert!(is_qualified(good), "{good}");
    }
    for bad in [
        "",
        "v.com/c",
        "v.com=d",
        "/c=d",
        "v.com/=d",
        "v.com/c=",
        "v.com/c=-",
        "/dev/x=y",
    ] {
        assert!(!is_qualified(bad), "{bad}");
    }
}
