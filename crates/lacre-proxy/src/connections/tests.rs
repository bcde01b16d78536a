use super::*;

const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

async fn admit(connections: &Arc<Connections>, peer: IpAddr) -> ConnectionGuard {
    connections.admit(peer, AddressLimit::Applies).await.unwrap()
}

/// Polls the connection as its reader does. Returns whether it stays open.
fn is_open(guard: &ConnectionGuard) -> bool {
    let context = Context::from_waker(Waker::noop());
    guard.connection.poll_closed(true, &context).is_pending()
}

/// Closes the connection in the background as soon as it is asked to.
fn drop_when_closed(guard: ConnectionGuard) {
    tokio::spawn(async move {
        std::future::poll_fn(|context| guard.connection.poll_closed(true, context)).await;
    });
}

#[tokio::test(start_paused = true)]
async fn the_longest_idle_connection_is_closed_for_a_new_one() {
    let connections = Connections::new(3, 3);
    let (first, second, third) =
        (admit(&connections, ONE).await, admit(&connections, ONE).await, admit(&connections, ONE).await);
    // The first had a request meanwhile, so that it has been idle for a shorter time than the
    // second.
    drop(first.connection.begin_request(None).unwrap());
    assert!(is_open(&first));
    let closed = Arc::clone(&second.connection);
    drop_when_closed(second);
    let _newcomer = admit(&connections, OTHER).await;
    assert!(closed.is_closed() && is_open(&first) && is_open(&third));
    assert!(closed.begin_request(None).is_none(), "a request on a closed connection is not begun");
    assert_eq!(connections.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_use_is_never_closed() {
    let connections = Connections::new(1, 1);
    let in_use = admit(&connections, ONE).await;
    let request = in_use.connection.begin_request(None).unwrap();
    assert!(timeout(Duration::from_secs(60), admit(&connections, OTHER)).await.is_err());
    assert!(!in_use.connection.is_closed());
    drop(request);
    // Its response is not fully written yet.
    let context = Context::from_waker(Waker::noop());
    assert!(in_use.connection.poll_closed(false, &context).is_pending());
    assert!(timeout(Duration::from_secs(60), admit(&connections, OTHER)).await.is_err());
    drop_when_closed(in_use);
    admit(&connections, OTHER).await;
}

#[tokio::test(start_paused = true)]
async fn an_address_has_no_more_connections_than_its_limit() {
    let connections = Connections::new(4, 2);
    let old = [admit(&connections, OTHER).await, admit(&connections, OTHER).await];
    let (idle, in_use) = (admit(&connections, ONE).await, admit(&connections, ONE).await);
    let _request = in_use.connection.begin_request(None).unwrap();
    drop_when_closed(idle);
    let third = admit(&connections, ONE).await;
    assert!(old.iter().all(is_open), "connections of other addresses stay, though idle for longer");
    let _request = third.connection.begin_request(None).unwrap();
    assert!(connections.admit(ONE, AddressLimit::Applies).await.is_err());
    drop(old);
    assert!(connections.admit(ONE, AddressLimit::Applies).await.is_err());
    assert!(connections.admit(ONE, AddressLimit::Exempt).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_cut_off_for_a_new_connection_and_a_fast_one_is_not() {
    let connections = Connections::new(1, 1);
    let connection = admit(&connections, ONE).await;
    let upload = Arc::new(UploadProgress::default());
    let request = connection.connection.begin_request(Some(Arc::clone(&upload))).unwrap();
    let receive_slowly = async |bytes: usize| {
        for _ in 0..20 {
            let context = Context::from_waker(Waker::noop());
            assert!(upload.poll_cut_off(&context).is_pending());
            tokio::time::sleep(Duration::from_secs(1)).await;
            upload.received(bytes);
        }
        let context = Context::from_waker(Waker::noop());
        assert!(upload.poll_cut_off(&context).is_pending());
    };
    receive_slowly(2000).await;
    assert!(timeout(Duration::from_secs(1), admit(&connections, OTHER)).await.is_err());
    receive_slowly(1).await;
    receive_slowly(1).await;
    let _ = timeout(Duration::from_secs(1), admit(&connections, OTHER)).await;
    let context = Context::from_waker(Waker::noop());
    assert!(upload.poll_cut_off(&context).is_ready());
    drop((request, connection));
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_idle_connections_is_bounded() {
    let connections = Connections::new(2, 2);
    let connection = admit(&connections, ONE).await;
    for _ in 0..10_000 {
        drop(connection.connection.begin_request(None).unwrap());
        assert!(is_open(&connection));
    }
    assert!(connections.open().idle.len() <= 70);
}

#[test]
fn addresses_of_one_client_count_as_one() {
    for (one, other) in [("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"), ("::ffff:192.0.2.1", "192.0.2.1")]
    {
        assert_eq!(client_network(one.parse().unwrap()), client_network(other.parse().unwrap()));
    }
    assert_ne!(
        client_network("2001:db8::1".parse().unwrap()),
        client_network("2001:db8:0:1::1".parse().unwrap())
    );
}
