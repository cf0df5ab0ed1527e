//! The types against Docker's texts, the wire types, the list of fields of API 1.56, and the compatibility table.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use super::*;

/// Every field of a type, with a value it can have.
fn paths(go: &Go) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk(go, "", &|value| value, &mut found);
    found
}

fn sample(go: &Go) -> Value {
    match go {
        Go::Text(_) => json!("text"),
        Go::Number(..) => json!(7),
        Go::Bool => json!(true),
        Go::List(_, item) => json!([sample(item)]),
        Go::Pair(_) => json!([7, 7]),
        Go::Map(_, item) => json!({"key": sample(item)}),
        Go::Struct(..) => json!({}),
        Go::Words => json!(["text"]),
        Go::Any => json!({"any": 1}),
    }
}

fn walk(go: &Go, path: &str, wrap: &dyn Fn(Value) -> Value, found: &mut Vec<(String, Value)>) {
    match go {
        Go::List(_, item) => walk(item, path, &|value| wrap(json!([value])), found),
        Go::Map(_, item) => walk(item, path, &|value| wrap(json!({"key": value})), found),
        Go::Struct(_, fields) => {
            for (name, field) in fields.iter().flat_map(|part| part.iter()) {
                let separator = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{separator}{name}");
                let wrap = |value: Value| {
                    let mut object = Map::new();
                    object.insert((*name).to_owned(), value);
                    wrap(Value::Object(object))
                };
                found.push((path.clone(), wrap(sample(field))));
                walk(field, &path, &wrap, found);
            }
        }
        _ => {}
    }
}

fn error<T: Body>(document: Value) -> String {
    check::<T>(document).unwrap_err()
}

#[test]
fn wrong_types_are_refused_in_gos_words() {
    for (document, text) in [
        (
            json!([]),
            "array into Go value of type container.CreateRequest",
        ),
        (
            json!({"Image": 1}),
            "number into Go struct field .Image of type string",
        ),
        (json!({"Env": [1]}), "number into .Env.0 of type string"),
        (
            json!({"Volumes": {"/a": 1}}),
            "number into Go struct field .Volumes.~1a of type struct {}",
        ),
        (
            json!({"HostConfig": {"Memory": 1.5}}),
            "number 1.5 into Go struct field .HostConfig.Memory of type int64",
        ),
        (
            json!({"HostConfig": {"BlkioWeight": 70000}}),
            "number 70000 into Go struct field .HostConfig.BlkioWeight of type uint16",
        ),
        (
            json!({"HostConfig": {"BlkioDeviceReadBps": [{"Rate": -1}]}}),
            "number -1 into Go struct field .HostConfig.BlkioDeviceReadBps.0.Rate of type uint64",
        ),
        (json!({"Cmd": [1]}), "array into Go value of type string"),
    ] {
        let text = format!("json: cannot unmarshal {text}");
        assert_eq!(error::<CreateRequest>(document), text);
    }
    assert_eq!(
        error::<VolumeCreateRequest>(json!({"Name": true})),
        "json: cannot unmarshal bool into Go struct field CreateOptions.Name of type string"
    );
}

#[test]
fn keys_have_any_case_and_null_is_zero() {
    let document = json!({
        "image": "a", "ENV": null, "Cmd": "echo", "Unknown": [1], "exposedports": {"80/tcp": null},
        "hostconfig": {"binds": [null], "ConsoleSize": [1, 2, 3], "memory": 5},
    });
    let expected = json!({
        "Image": "a", "Cmd": ["echo"], "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"Binds": [""], "ConsoleSize": [1, 2], "Memory": 5},
    });
    assert_eq!(check::<CreateRequest>(document).unwrap(), expected);
    assert_eq!(check::<CreateRequest>(Value::Null).unwrap(), json!({}));
}

/// Whether every key and item of `part` is in `whole`.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(a, b)| contains(a, b))
        }
        (whole, part) => whole == part,
    }
}

/// The fields that are decoded, each of which must come out of the wire type again as it went in.
fn decoded<T: Body + serde::Serialize>() -> BTreeSet<String> {
    let paths = paths(T::GO);
    for (path, sample) in &paths {
        let checked = check::<T>(sample.clone()).unwrap();
        let wire: T =
            serde_json::from_value(checked).unwrap_or_else(|error| panic!("{path}: {error}"));
        let shown = serde_json::to_value(&wire).unwrap();
        assert!(
            blank(sample) || contains(&shown, sample),
            "the wire type has no {path}: {shown}"
        );
    }
    paths.into_iter().map(|(path, _)| path).collect()
}

/// Whether there is nothing in a document but empty objects.
fn blank(document: &Value) -> bool {
    match document {
        Value::Object(map) => map.values().all(blank),
        Value::Array(list) => list.iter().all(blank),
        _ => false,
    }
}

/// The rows of each section of a table of fields, by the section's heading.
fn rows(table: &str) -> BTreeSet<(String, String)> {
    let mut section = "";
    let mut rows = BTreeSet::new();
    for line in table.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading;
        } else if let Some((field, _)) = line
            .strip_prefix("| `")
            .and_then(|line| line.split_once('`'))
        {
            rows.insert((section.to_owned(), field.to_owned()));
        }
    }
    rows
}

#[test]
fn every_field_of_the_newest_version_is_decoded_and_told_of() {
    let here = env!("CARGO_MANIFEST_DIR");
    let read = |path: &str| std::fs::read_to_string(format!("{here}/{path}")).unwrap();
    let fields = read("tests/fixtures/fields.txt");
    let table = rows(&read("../../docs/compatibility/fields.md"));
    let known = [
        ("POST /containers/create", decoded::<CreateRequest>()),
        ("POST /containers/{id}/update", decoded::<UpdateRequest>()),
        ("POST /containers/{id}/exec", decoded::<ExecCreateRequest>()),
        ("POST /exec/{id}/start", decoded::<ExecStartRequest>()),
        ("POST /networks/create", decoded::<NetworkCreateRequest>()),
        (
            "POST /networks/{id}/connect",
            decoded::<NetworkConnectRequest>(),
        ),
        (
            "POST /networks/{id}/disconnect",
            decoded::<NetworkDisconnectRequest>(),
        ),
        ("POST /volumes/create", decoded::<VolumeCreateRequest>()),
        ("POST /auth", decoded::<AuthConfig>()),
        ("POST /commit", decoded::<Config>()),
    ];
    let mut section = "";
    let mut missing = Vec::new();
    for line in fields.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading;
            continue;
        }
        if !table.contains(&(section.to_owned(), line.to_owned())) {
            missing.push(format!(
                "{section}: {line} has no row in docs/compatibility/fields.md"
            ));
        }
        let decoded = known.iter().find(|(name, _)| *name == section);
        // Cluster volumes are refused as a whole.
        let whole = line.split('.').next().unwrap_or(line);
        if let Some((_, decoded)) = decoded
            && !decoded.contains(line)
            && whole != "ClusterVolumeSpec"
        {
            missing.push(format!("{section}: {line} is not decoded"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Hears which fields a struct would be decoded from.
struct Recorder<'a>(&'a mut Vec<&'static str>);

impl<'de> serde::Deserializer<'de> for Recorder<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("only fields are asked for"))
    }

    fn deserialize_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.extend(fields);
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The fields of a wire type that are missing in its Go type: what clients send in them would be thrown away.
fn unheard<T: DeserializeOwned>(go: &Go, path: &str) -> Vec<String> {
    let mut fields = Vec::new();
    assert!(T::deserialize(Recorder(&mut fields)).is_err());
    assert!(!fields.is_empty(), "{path} is no struct");
    let of_go = path.split('.').filter(|name| !name.is_empty());
    let go = of_go.fold(item(go), |go, name| match go {
        Go::Struct(_, parts) => {
            let mut all = parts.iter().flat_map(|part| part.iter());
            let (_, field) = all
                .find(|(known, _)| *known == name)
                .unwrap_or_else(|| panic!("{path} is not there"));
            item(field)
        }
        _ => panic!("{path} is not in a struct"),
    });
    let Go::Struct(_, parts) = go else {
        panic!("{path} is no struct");
    };
    let known: BTreeSet<&str> = parts
        .iter()
        .flat_map(|part| part.iter().map(|(name, _)| *name))
        .collect();
    fields
        .into_iter()
        .filter(|field| !known.contains(field))
        .map(|field| format!("{path}.{field}"))
        .collect()
}

/// What a list or a map is of.
fn item(go: &Go) -> &Go {
    match go {
        Go::List(_, inner) | Go::Map(_, inner) => item(inner),
        other => other,
    }
}

#[test]
fn every_field_of_the_wire_types_is_let_through() {
    use dhow_api::container::*;
    use dhow_api::network::*;

    let create = CreateRequest::GO;
    let network = NetworkCreateRequest::GO;
    let missing = [
        unheard::<Config>(Config::GO, ""),
        unheard::<Config>(create, ""),
        unheard::<Healthcheck>(create, "Healthcheck"),
        unheard::<HostConfig>(create, "HostConfig"),
        unheard::<LogConfig>(create, "HostConfig.LogConfig"),
        unheard::<RestartPolicy>(create, "HostConfig.RestartPolicy"),
        unheard::<PortBinding>(create, "HostConfig.PortBindings"),
        unheard::<DeviceMapping>(create, "HostConfig.Devices"),
        unheard::<DeviceRequest>(create, "HostConfig.DeviceRequests"),
        unheard::<BlkioWeight>(create, "HostConfig.BlkioWeightDevice"),
        unheard::<BlkioDevice>(create, "HostConfig.BlkioDeviceReadBps"),
        unheard::<Ulimit>(create, "HostConfig.Ulimits"),
        unheard::<Mount>(create, "HostConfig.Mounts"),
        unheard::<BindOptions>(create, "HostConfig.Mounts.BindOptions"),
        unheard::<VolumeOptions>(create, "HostConfig.Mounts.VolumeOptions"),
        unheard::<Driver>(create, "HostConfig.Mounts.VolumeOptions.DriverConfig"),
        unheard::<ImageOptions>(create, "HostConfig.Mounts.ImageOptions"),
        unheard::<TmpfsOptions>(create, "HostConfig.Mounts.TmpfsOptions"),
        unheard::<UpdateRequest>(UpdateRequest::GO, ""),
        unheard::<NetworkingConfig>(create, "NetworkingConfig"),
        unheard::<EndpointSettings>(create, "NetworkingConfig.EndpointsConfig"),
        unheard::<EndpointIpamConfig>(create, "NetworkingConfig.EndpointsConfig.IPAMConfig"),
        unheard::<NetworkCreateRequest>(network, ""),
        unheard::<Ipam>(network, "IPAM"),
        unheard::<IpamConfig>(network, "IPAM.Config"),
        unheard::<NetworkConnectRequest>(NetworkConnectRequest::GO, ""),
        unheard::<NetworkDisconnectRequest>(NetworkDisconnectRequest::GO, ""),
        unheard::<ExecCreateRequest>(ExecCreateRequest::GO, ""),
        unheard::<ExecStartRequest>(ExecStartRequest::GO, ""),
        unheard::<VolumeCreateRequest>(VolumeCreateRequest::GO, ""),
        unheard::<AuthConfig>(AuthConfig::GO, ""),
    ]
    .concat();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
