//! Every transport carries the same: states and commands of any size, however the bytes are cut, and an end to waiting.

use crate::support::{
    Broker, DEVICE_ID, FakeBroker, KEY, Listener, Manner, Proxy, SECRET,
    broker::free_port,
    certificates::Authority,
    command_topic,
    fake_broker::{listen, read_head},
    recent_ms, tls_server,
};
use losant::{Device, Error, Event, EventType::*, Stage, Stage::*, Status::*, Transport::*};
use socket2::{Domain, SockRef, Socket, Type};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};
use tungstenite::{
    Message, WebSocket, accept_hdr,
    handshake::server::{Request, Response},
    protocol::CloseFrame,
};

fn device(listener: Listener, port: u16) -> Device {
    let device = Device::new(DEVICE_ID, Some((KEY, SECRET))).unwrap();
    device.set_host("127.0.0.1").unwrap();
    device.set_port(port).unwrap();
    device.set_secure(listener.is_secure()).unwrap();
    if listener.is_websocket() {
        device.set_transport(LOSANT_TRANSPORT_WEBSOCKETS).unwrap();
    }
    device.set_reconnect_delay(10, 50).unwrap();
    device
}

fn all_listeners() -> Broker {
    Broker::with(&Listener::ALL, "")
}

fn device_of(broker: &Broker, listener: Listener, port: u16) -> Device {
    let device = device(listener, port);
    if listener.is_secure() {
        device.set_ca_file(Some(&broker.ca_file()), true).unwrap();
    }
    device
}

/// A state up and a command down, byte for byte.
fn round_trip(broker: &Broker, device: &Device, size: usize) {
    let mut observer = broker.subscriber();
    let state = format!("{{\"filler\":\"{}\"}}", "x".repeat(size));
    let time_ms = recent_ms();
    device.send_state(&state, time_ms).unwrap();
    let (told, heard) = mpsc::channel();
    let payload = format!("\"{}\"", "y".repeat(size.min(40_000)));
    device.add_observer(LOSANT_EVENT_COMMAND, move |device, event| {
        told.send(event.clone()).unwrap();
        device.close().unwrap();
    });
    let connected = {
        let (told, heard) = mpsc::channel();
        device.add_observer(LOSANT_EVENT_CONNECT, move |_, _| told.send(()).unwrap());
        heard
    };
    let turning = device.clone();
    let loop_thread = thread::spawn(move || turning.connect_blocking());
    connected.recv().unwrap();
    assert_eq!(observer.next().text(), format!("{{\"time\":{time_ms},\"data\":{state}}}"));
    broker.command(&format!("{{\"name\":\"go\",\"payload\":{payload}}}"));
    let Event::Command { command, topic, .. } = heard.recv().unwrap() else { panic!("not a command") };
    assert_eq!((command.name.as_str(), topic.to_string()), ("go", command_topic()));
    assert_eq!(command.payload, payload);
    loop_thread.join().unwrap().unwrap();
    assert_eq!(device.stats().delivered, 1);
}

#[test]
fn large_states_and_commands_over_each() {
    let broker = all_listeners();
    for listener in Listener::ALL {
        round_trip(&broker, &device_of(&broker, listener, broker.port_of(listener)), 200_000);
    }
}

#[test]
fn one_byte_at_a_time_over_each() {
    let broker = all_listeners();
    for listener in Listener::ALL {
        let port = Proxy::with(broker.port_of(listener), Manner::OneByOne).port();
        round_trip(&broker, &device_of(&broker, listener, port), 2_000);
    }
}

#[test]
fn a_broker_that_comes_back_over_each() {
    let mut broker = all_listeners();
    for listener in Listener::ALL {
        let device = device_of(&broker, listener, broker.port_of(listener));
        let (told, heard) = mpsc::channel();
        for event in [LOSANT_EVENT_CONNECT, LOSANT_EVENT_RECONNECT] {
            let told = told.clone();
            device.add_observer(event, move |_, event| told.send(event.event_type()).unwrap());
        }
        device.start().unwrap();
        assert_eq!(heard.recv().unwrap(), LOSANT_EVENT_CONNECT);
        broker.kill();
        for n in 0..50 {
            device.send_state(&format!("{{\"n\":{n}}}"), 0).unwrap();
        }
        broker.restart();
        assert_eq!(heard.recv().unwrap(), LOSANT_EVENT_RECONNECT);
        crate::support::eventually("all are delivered", || device.stats().delivered == 50);
        device.close().unwrap();
        device.shut_down().unwrap();
    }
}

/// A port whose queue of connections is full and never emptied, so that the next one gets no answer.
fn deaf_port() -> u16 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], free_port())).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap();
    let port = address.as_socket().unwrap().port();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        let _ = filler.connect(&address);
        waiting.push(filler);
    }
    // For as long as this process lives.
    std::mem::forget((socket, waiting));
    port
}

/// A server that stops answering at this stage: its port, and a device for it.
fn stopped_at(stage: Stage) -> Device {
    let authority = Authority::new();
    let half_a_tls_handshake = || {
        let leaf = authority.leaf(|_| {});
        let server = tls_server::start(&authority.chain(&leaf), &leaf.key_pem());
        Proxy::with(server.port(), Manner::StopAfter(500)).port()
    };
    let says = |words: &'static [u8]| {
        FakeBroker::serving(move |mut stream: TcpStream| {
            stream.write_all(words)?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        })
        .port()
    };
    let device = match stage {
        LOSANT_STAGE_TCP => device(Listener::Tcp, deaf_port()),
        LOSANT_STAGE_TLS => device(Listener::Tls, half_a_tls_handshake()),
        LOSANT_STAGE_WEBSOCKET => device(Listener::Ws, says(b"HTTP/1.1 101 Switching Protocols\r\nUpgr")),
        _ => device(Listener::Tcp, says(b"")),
    };
    device.set_ca_pem(Some(&authority.root.pem()), true).unwrap();
    device
}

const STAGES: [Stage; 4] = [LOSANT_STAGE_TCP, LOSANT_STAGE_TLS, LOSANT_STAGE_WEBSOCKET, LOSANT_STAGE_MQTT];

#[test]
fn a_server_that_stops_answering_is_given_up_at_the_deadline() {
    for stage in STAGES {
        let device = stopped_at(stage);
        // Time enough for what comes before the stage, on a busy machine too.
        device.set_connect_timeout(if stage == LOSANT_STAGE_MQTT { 5000 } else { 1000 }).unwrap();
        let (told, heard) = mpsc::channel();
        device.add_observer(LOSANT_EVENT_CLOSE, move |_, event| told.send(event.clone()).unwrap());
        assert_eq!(device.connect_blocking().map_err(|e| e.status), Err(LOSANT_ERR_TIMED_OUT), "{stage:?}");
        let Event::Close(why) = heard.recv().unwrap() else { panic!("not a close") };
        assert_eq!((why.stage, why.status), (stage, LOSANT_ERR_TIMED_OUT), "{}", why.text);
    }
}

/// With a deadline of a day: if close waited for anything, this would not end.
#[test]
fn close_returns_at_once_at_each_stage() {
    for stage in STAGES {
        let device = stopped_at(stage);
        device.set_connect_timeout(86_400_000).unwrap();
        let turning = device.clone();
        let (told, heard) = mpsc::channel();
        let loop_thread = thread::spawn(move || told.send(turning.connect_blocking()).unwrap());
        crate::support::eventually("the connection begins", || {
            device.run_loop(Some(std::time::Duration::ZERO)).is_err_and(|e| e.status == LOSANT_ERR_BUSY)
        });
        device.close().unwrap();
        assert_eq!(heard.recv_timeout(crate::support::DEADLINE).unwrap(), Ok(()), "{stage:?}");
        loop_thread.join().unwrap();
    }
}

/// Answers the upgrade as told, then serves MQTT over the WebSocket.
fn websocket_server(answer: &'static str) -> u16 {
    FakeBroker::serving(move |mut stream: TcpStream| {
        let mut request = [0; 2048];
        let _ = stream.read(&mut request)?;
        stream.write_all(answer.as_bytes())?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    })
    .port()
}

#[test]
fn a_refused_websocket_is_told_with_its_http_status_and_place() {
    for (answer, told) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404 Not Found"),
        (
            "HTTP/1.1 308 Permanent Redirect\r\nLocation: wss://b/\r\n\r\n",
            "308 Permanent Redirect, it is at \"wss://b/\"",
        ),
    ] {
        let error = device(Listener::Ws, websocket_server(answer)).connect_blocking().unwrap_err();
        assert_eq!(error.status, LOSANT_ERR_WEBSOCKET_REFUSED, "{error}");
        assert!(error.text.ends_with(told), "{error}");
    }
}

#[test]
fn headers_of_the_host_go_with_each_request_for_a_websocket() {
    let (told, heard) = mpsc::channel();
    let server = FakeBroker::serving(move |mut stream| {
        told.send(read_head(&mut stream)?).unwrap();
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    });
    let device = device(Listener::Ws, server.port());
    let request = |device: &Device| {
        assert_eq!(device.connect_blocking().map_err(|e| e.status), Err(LOSANT_ERR_WEBSOCKET_REFUSED));
        heard.recv().unwrap()
    };
    let version = env!("CARGO_PKG_VERSION");
    assert!(request(&device).contains(&format!("\r\nUser-Agent: liblosant/{version}\r\n")));

    device.add_http_header("user-agent", Some("mine/1")).unwrap();
    device.add_http_header("Authorization", Some("Basic dTpw")).unwrap();
    device.start().unwrap();
    for _ in 0..3 {
        let request = heard.recv_timeout(crate::support::DEADLINE).unwrap();
        let lines: Vec<_> = request.lines().skip(1).filter(|line| !line.starts_with("Sec-WebSocket-Key")).collect();
        let host = format!("Host: 127.0.0.1:{}", server.port());
        let expected = [
            &host,
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: mqtt",
            "user-agent: mine/1",
            "Authorization: Basic dTpw",
            "",
        ];
        assert_eq!(lines, expected);
    }
    device.shut_down().unwrap();
}

/// A WebSocket server that speaks just enough MQTT, and frames it as the closure wants.
fn websocket_broker(frames: impl Fn(&mut WebSocket<TcpStream>, Vec<u8>) + Clone + Send + 'static) -> u16 {
    let listener = listen();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let frames = frames.clone();
            thread::spawn(move || {
                #[allow(
                    clippy::result_large_err,
                    reason = "the library's type for a refusal, which is never made here"
                )]
                let mqtt = |request: &Request, mut response: Response| {
                    assert_eq!(request.uri().path(), "/mqtt");
                    response.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
                    Ok(response)
                };
                let Ok(mut socket) = accept_hdr(stream, mqtt) else { return };
                while let Ok(message) = socket.read() {
                    let Message::Binary(bytes) = message else { continue };
                    match bytes[0] >> 4 {
                        1 => frames(&mut socket, vec![0x20, 2, 0, 0]),
                        8 => frames(&mut socket, vec![0x90, 3, bytes[2], bytes[3], 0]),
                        _ => {}
                    }
                }
            });
        }
    });
    port
}

#[test]
fn packets_are_split_and_joined_over_frames_and_pings_answered() {
    let port = websocket_broker(|socket, packet| {
        socket.send(Message::Ping("are you there".into())).unwrap();
        let mut stream = packet.clone();
        if packet[0] == 0x90 {
            // A large command in three frames, the first of which ends the SUBACK's and the last of which begins another.
            let payload = format!("{{\"name\":\"large\",\"payload\":\"{}\"}}", "z".repeat(200_000));
            for body in [payload.as_str(), "{\"name\":\"small\"}"] {
                let topic = command_topic();
                let mut length = 2 + topic.len() + body.len();
                stream.push(0x30);
                while length > 127 {
                    stream.push((length % 128) as u8 | 0x80);
                    length /= 128;
                }
                stream.push(length as u8);
                stream.extend_from_slice(&(topic.len() as u16).to_be_bytes());
                stream.extend_from_slice(topic.as_bytes());
                stream.extend_from_slice(body.as_bytes());
            }
        }
        let third = stream.len().div_ceil(3);
        for part in stream.chunks(third) {
            socket.send(Message::Binary(part.to_vec().into())).unwrap();
        }
        // The device answers each ping; nothing else comes unasked.
        while !matches!(socket.read().unwrap(), Message::Pong(_)) {}
    });
    let device = device(Listener::Ws, port);
    let (told, heard) = mpsc::channel();
    device.add_observer(LOSANT_EVENT_COMMAND, move |device, event| {
        let Event::Command { command, .. } = event else { return };
        told.send((command.name.to_string(), command.payload.len())).unwrap();
        if command.name == "small" {
            device.close().unwrap();
        }
    });
    device.connect_blocking().unwrap();
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [("large".to_owned(), 200_002), ("small".to_owned(), 4)]);
}

#[test]
fn a_text_frame_is_refused() {
    let port = websocket_broker(|socket, _| socket.send(Message::Text("hello".into())).unwrap());
    let error = device(Listener::Ws, port).connect_blocking().unwrap_err();
    assert_eq!(error.status, LOSANT_ERR_WEBSOCKET, "{error}");
}

#[test]
fn a_close_frame_is_a_lost_connection() {
    let port = websocket_broker(|socket, _| socket.close(None).unwrap());
    let error = device(Listener::Ws, port).connect_blocking().unwrap_err();
    assert_eq!(error.status, LOSANT_ERR_CONNECTION_LOST, "{error}");
}

/// How a connection ends that the server closes with this frame, as soon as a packet of this kind has come.
fn closed_with(frame: Option<CloseFrame>, at: u8) -> Error {
    let port = websocket_broker(move |socket, answer| {
        if answer[0] == at {
            socket.send(Message::Binary(answer.into())).unwrap();
        } else if at != 0 {
            socket.send(Message::Binary(answer.into())).unwrap();
            return;
        }
        socket.close(frame.clone()).unwrap();
    });
    let device = device(Listener::Ws, port);
    let (told, heard) = mpsc::channel();
    device.add_observer(LOSANT_EVENT_ERROR, move |device, event| {
        told.send(event.clone()).unwrap();
        device.close().unwrap();
    });
    let _ = device.connect_blocking();
    let Event::Error(error) = heard.recv().unwrap() else { panic!("not an error") };
    error
}

#[test]
fn a_close_frame_tells_why_before_and_after_the_connection_is_complete() {
    for (at, stage) in [(0, LOSANT_STAGE_MQTT), (0x20, LOSANT_STAGE_MQTT), (0x90, LOSANT_STAGE_ONLINE)] {
        let quota = CloseFrame { code: 1008.into(), reason: "quota\nexceeded".into() };
        for (frame, words) in [
            (Some(quota), r#": WebSocket close code 1008, "quota\nexceeded""#),
            (Some(CloseFrame { code: 4321.into(), reason: "".into() }), ": WebSocket close code 4321"),
            (None, ": WebSocket close frame without a code"),
        ] {
            let error = closed_with(frame, at);
            assert_eq!((error.status, error.stage), (LOSANT_ERR_CONNECTION_LOST, stage), "{error}");
            assert!(error.text.ends_with(words), "{error}");
        }
    }
}

/// A server that has enough of a device closes while states are still coming: with something unread, its end is a reset,
/// which may meet the device as it writes.
#[test]
fn a_close_frame_is_heard_by_a_device_that_is_writing() {
    let port = websocket_broker(|socket, answer| {
        let subscribed = answer[0] == 0x90;
        socket.send(Message::Binary(answer.into())).unwrap();
        if subscribed {
            // States have come, or are coming, and stay unread.
            // A reset takes with it what the kernel still holds back.
            socket.get_ref().set_nodelay(true).unwrap();
            let frame = CloseFrame { code: 1008.into(), reason: "quota exceeded".into() };
            socket.send(Message::Close(Some(frame))).unwrap();
            SockRef::from(socket.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
            // Ends this thread without a word, and with it the socket.
            std::panic::resume_unwind(Box::new(()));
        }
    });
    let device = device(Listener::Ws, port);
    device.set_rate_limit(0, 0, 1).unwrap();
    device.set_reconnect_delay(1, 1).unwrap();
    let (told, heard) = mpsc::channel();
    device.add_observer(LOSANT_EVENT_ERROR, move |device, event| {
        // The states that were under way are suspected.
        let is_suspicion = matches!(event, Event::Error(error) if error.status == LOSANT_ERR_UNDELIVERABLE);
        if !is_suspicion && told.send(event.clone()).is_err() {
            device.close().unwrap();
        }
    });
    for n in 0..200 {
        device.send_state(&format!("{{\"n\":{n},\"filler\":\"{}\"}}", "x".repeat(20_000)), 0).unwrap();
    }
    device.start().unwrap();
    for _ in 0..30 {
        let Event::Error(error) = heard.recv_timeout(crate::support::DEADLINE).unwrap() else { panic!("not an error") };
        assert!(error.text.contains(r#"1008, "quota exceeded""#), "{error}");
    }
    device.shut_down().unwrap();
}

#[test]
fn a_host_name_is_resolved_and_its_addresses_tried() {
    // Where there is IPv6, localhost has two addresses; mosquitto listens on one of them.
    let broker = Broker::with(&[Listener::Tcp], "");
    let device = device(Listener::Tcp, broker.port());
    device.set_host("localhost").unwrap();
    device.add_observer(LOSANT_EVENT_CONNECT, |device, _| device.close().unwrap());
    device.connect_blocking().unwrap();
}

#[test]
fn an_ipv6_address_with_and_without_brackets() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        // No IPv6 on this machine: then it must at least be told.
        let error = device_at("::1", 1883).connect_blocking().unwrap_err();
        assert!(matches!(error.status, LOSANT_ERR_NETWORK | LOSANT_ERR_REFUSED), "{error}");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Refused by CONNACK 3: it has come through.
            let _ = stream.write_all(&[0x20, 2, 0, 3]);
        }
    });
    for host in ["::1", "[::1]"] {
        let error = device_at(host, port).connect_blocking().unwrap_err();
        assert_eq!(error.status, LOSANT_ERR_SERVER_UNAVAILABLE, "{host}: {error}");
    }
}

fn device_at(host: &str, port: u16) -> Device {
    let device = device(Listener::Tcp, port);
    device.set_host(host).unwrap();
    device
}

#[test]
fn a_device_bound_to_an_interface_uses_it() {
    let broker = Broker::with(&[Listener::Tcp], "");
    let device = device(Listener::Tcp, broker.port());
    device.add_observer(LOSANT_EVENT_CONNECT, |device, _| device.close().unwrap());
    device.set_interface(Some("nosuch0")).unwrap();
    let error = device.connect_blocking().unwrap_err();
    assert!(error.text.contains("nosuch0"), "{error}");
    device.set_interface(Some("lo")).unwrap();
    device.connect_blocking().unwrap();
}
