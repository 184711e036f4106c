use super::*;
use crate::registry::Web;

/// A server that says where it is; at `/away` it leads to another address of this machine.
async fn server(address: [u8; 4], away: String) -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::from((address, 0))).await.expect("a port");
    let bound = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (head, _) = read_head(&mut stream).await.expect("a request");
            assert!(head.contains("Connection: close") && !head.contains("http://"), "{head}");
            let answer = if head.starts_with("GET /away") {
                format!("HTTP/1.1 302 Found\r\nLocation: {away}\r\nContent-Length: 0\r\n\r\n")
            } else {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{bound}", bound.to_string().len())
            };
            stream.write_all(answer.as_bytes()).await.expect("written");
        }
    });
    bound
}

#[expect(clippy::unnecessary_wraps, reason = "as whatever looks at this machine")]
fn is_second(addresses: &[IpAddr]) -> io::Result<bool> {
    Ok(addresses.iter().all(|address| *address == IpAddr::from([127, 0, 0, 2])))
}

#[test]
fn one_inner_address_of_several_is_enough() {
    let is_outside = |texts: &[&str]| {
        let addresses: Vec<IpAddr> = texts.iter().map(|text| text.parse().expect("an address")).collect();
        is_outside(&addresses).expect("looked")
    };
    assert!(is_outside(&["1.1.1.1", "2606:4700::1111"]));
    assert!(!is_outside(&["1.1.1.1", "127.0.0.1"]));
    assert!(!is_outside(&["::ffff:10.0.0.1"]));
}

#[tokio::test]
async fn nothing_but_what_is_allowed_is_reached_by_whatever_way() {
    let inner = server([127, 0, 0, 1], String::new()).await;
    let outer = server([127, 0, 0, 2], format!("http://{inner}/secret")).await;
    let fence = Fence::with(is_second).expect("a fence");
    let ask = async |url: String| {
        let url = Url::parse(&url).expect("an address");
        let web = Web::new(&url, None, Some(fence.proxy())).expect("a client");
        web.ask(&url, "it", None).await
    };

    let text = ask(format!("http://{outer}/file?a=b")).await.expect("reached").text().await.expect("read");
    assert_eq!(text, outer.to_string());
    assert!(fence.refused().is_none());
    ask(format!("http://{outer}/away")).await.expect_err("it leads to another address");
    assert!(fence.refused().is_some());
    for url in [
        format!("https://{inner}/"),
        format!("http://{inner}/"),
        format!("http://localhost:{}/", inner.port()),
        format!("http://[::ffff:127.0.0.1]:{}/", inner.port()),
        format!("http://2130706433:{}/", inner.port()),
    ] {
        assert!(ask(url.clone()).await.is_err(), "{url}");
    }
    assert_eq!(fence.refused().as_deref(), Some("127.0.0.1"));
    let away = fence.address;
    drop(fence);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(away).await.is_err(), "it is left open");
}

#[test]
fn requests_are_read_as_clients_of_proxies_write_them() {
    let read = |head: &str| Request::read(head).map(|request| (request.host, request.port, request.forward));
    assert_eq!(read("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"), Some(("h".into(), 443, None)));
    assert_eq!(read("CONNECT [::1]:8443 HTTP/1.1\r\n\r\n"), Some(("[::1]".into(), 8443, None)));
    let forward = "GET /a?b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_owned();
    let plain = "GET http://h/a?b HTTP/1.1\r\nHost: h\r\nProxy-Connection: keep-alive\r\n\r\n";
    assert_eq!(read(plain), Some(("h".into(), 80, Some(forward))));
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET https://h/ HTTP/1.1\r\n\r\n",
        "x\r\n\r\n",
        "GET file:///a HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(read(head), None, "{head}");
    }
}
