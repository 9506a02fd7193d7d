use super::*;

fn hello() -> Hello {
    Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        cluster: 5,
        node: 1,
        incarnation: 9,
        expects: 2,
    }
}

fn here() -> Identity {
    Identity::node(NodeId(2), Some(ClusterId(5)))
}

fn verdict(hello: Hello) -> Result<u16, ErrorKind> {
    judge(&hello, &here()).map_err(|refused| refused.kind)
}

#[test]
fn a_peer_of_the_same_cluster_is_welcome() {
    assert_eq!(verdict(hello()), Ok(VERSION_MAX));
}

#[test]
fn whoever_has_no_cluster_yet_meets_anyone() {
    assert_eq!(verdict(Hello { cluster: 0, ..hello() }), Ok(VERSION_MAX));
    let uninitialised = Identity::node(NodeId(2), None);
    assert!(judge(&hello(), &uninitialised).is_ok());
}

#[test]
fn a_client_is_welcome_and_may_expect_nobody() {
    assert_eq!(verdict(Hello { node: 0, expects: 0, ..hello() }), Ok(VERSION_MAX));
}

#[test]
fn strangers_are_refused_for_their_reason() {
    for (hello, kind) in [
        (Hello { cluster: 6, ..hello() }, ErrorKind::WrongCluster),
        (Hello { node: 2, ..hello() }, ErrorKind::DuplicateNode),
        (Hello { expects: 3, ..hello() }, ErrorKind::WrongIdentity),
        (Hello { version_min: 7, version_max: 8, ..hello() }, ErrorKind::IncompatibleFormat),
        (Hello { version_min: 0, version_max: 0, ..hello() }, ErrorKind::IncompatibleFormat),
    ] {
        assert_eq!(verdict(hello.clone()), Err(kind), "{hello:?}");
    }
}

#[test]
fn versions_that_overlap_meet_at_the_newest_of_both() {
    assert_eq!(verdict(Hello { version_min: 0, version_max: VERSION_MAX + 3, ..hello() }), Ok(VERSION_MAX));
}

#[test]
fn the_bytes_of_a_hello_are_golden() {
    let bytes = encode_message(&hello()).unwrap();
    assert_eq!(bytes, [b'K', b'V', b'N', b'T', 1, 6, 0, 1, 1, 5, 1, 9, 2]);
    let refusal = Reply::Refusal { kind: 53, reason: "no".into() };
    assert_eq!(encode_message(&refusal).unwrap(), [b'K', b'V', b'N', b'T', 1, 5, 0, 1, 53, 2, b'n', b'o']);
    let welcome = Reply::Welcome { version: 1, cluster: 5, node: 2, incarnation: 3 };
    assert_eq!(encode_message(&welcome).unwrap(), [b'K', b'V', b'N', b'T', 1, 5, 0, 0, 1, 5, 2, 3]);
}

#[tokio::test]
async fn fields_of_a_later_release_are_ignored() {
    let (mut near, mut far) = tokio::io::duplex(1_024);
    let mut bytes = encode_message(&hello()).unwrap();
    bytes.extend_from_slice(&[1, 2, 3]);
    bytes[5] += 3;
    near.write_all(&bytes).await.unwrap();
    assert_eq!(receive(&mut far, &here()).await.unwrap().node(), Some(NodeId(1)));
}

#[tokio::test]
async fn a_side_that_lets_wrong_company_in_is_left() {
    for (welcome, kind) in [
        (Reply::Welcome { version: 1, cluster: 6, node: 2, incarnation: 0 }, ErrorKind::WrongCluster),
        (Reply::Welcome { version: 1, cluster: 5, node: 3, incarnation: 0 }, ErrorKind::WrongIdentity),
        (Reply::Welcome { version: 9, cluster: 5, node: 2, incarnation: 0 }, ErrorKind::IncompatibleFormat),
    ] {
        let (mut near, mut far) = tokio::io::duplex(1_024);
        far.write_all(&encode_message(&welcome).unwrap()).await.unwrap();
        let identity = Identity::node(NodeId(1), Some(ClusterId(5)));
        let refused = greet(&mut near, &identity, Some(NodeId(2))).await.unwrap_err();
        assert_eq!(refused.kind, kind);
    }
}
