//! Options: to be set before connecting.

use super::{
    guard,
    handle::{self, losant_device},
    text::{optional_text_argument, pem_argument, text_argument},
};
use crate::{
    options::Transport,
    status::{Error, Status, Status::*},
};
use std::{
    ffi::{c_char, c_int},
    path::Path,
};

/// Sets the broker's host. The default is "broker.losant.com". With TLS, the certificate must be for this
/// name or address.
///
/// @param device the device, not connecting or connected
/// @param host a DNS name, an IPv4 address as four decimal numbers, or an IPv6 address; NUL-terminated, not
/// a URL, without a port; copied. A name is ASCII, an internationalised one in its "xn--" form; a dot at
/// its end keeps the resolver from trying it in other domains. An IPv6 address may stand in brackets and
/// have a zone: "fe80::1%eth0".
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8;
/// LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_host(device: *mut losant_device, host: *const c_char) -> Status {
    guard("losant_device_set_host", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        found.set_host(unsafe { text_argument("host", host)? })
    })
}

/// Sets the broker's port.
///
/// @param device the device, not connecting or connected
/// @param port 1 to 65535, or 0, the default, for the usual one: 1883; 8883 when secure; 80 over WebSocket; 443 over
/// WebSocket when secure
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_port(device: *mut losant_device, port: c_int) -> Status {
    guard("losant_device_set_port", || {
        let found = handle::find(device)?;
        let port = u16::try_from(port)
            .map_err(|_| Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("port is {port}; it must be 0 to 65535")))?;
        found.set_port(port)
    })
}

/// Sets whether to use TLS. The default is true.
///
/// @param device the device, not connecting or connected
/// @param secure false sends key, secret and data in the clear: for tests and closed networks only
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_secure(device: *mut losant_device, secure: bool) -> Status {
    guard("losant_device_set_secure", || handle::find(device)?.set_secure(secure))
}

/// Sets what carries MQTT. The default is LOSANT_TRANSPORT_TCP.
///
/// @param device the device, not connecting or connected
/// @param transport a losant_transport
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_transport(device: *mut losant_device, transport: c_int) -> Status {
    guard("losant_device_set_transport", || {
        let found = handle::find(device)?;
        let transport = Transport::from_code(transport).ok_or_else(|| {
            Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("transport is {transport}, which is no losant_transport"))
        })?;
        found.set_transport(transport)
    })
}

/// Sets the path that a WebSocket is asked for. The default is "/mqtt".
///
/// @param device the device, not connecting or connected
/// @param path begins with "/", printable ASCII, at most 1,024 bytes; copied
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8;
/// LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_websocket_path(device: *mut losant_device, path: *const c_char) -> Status {
    guard("losant_device_set_websocket_path", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        found.set_websocket_path(unsafe { text_argument("path", path)? })
    })
}

/// Adds an HTTP header to the request that opens a WebSocket, for instance an authorization that a proxy
/// asks for, or another User-Agent than the library's "liblosant/" with its version. It is sent with the
/// request of each connection from then on, and with no other transport. At most 16 headers, whose names
/// and values have at most 8,192 bytes together.
///
/// @param device the device, not connecting or connected
/// @param name letters, digits and any of !#$%&'*+-.^_`|~; copied. A header with the same name, in upper or
/// lower case, is replaced. Those that the handshake sets itself are refused: Host, Connection, Upgrade,
/// all that begin with Sec-WebSocket-, Content-Length and Transfer-Encoding.
/// @param value without control characters but tab; copied, never logged, and wiped from memory with the
/// device. NULL takes the header away again, which is no error if there is none.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT if name is NULL;
/// LOSANT_ERR_INVALID_UTF8; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_add_http_header(
    device: *mut losant_device,
    name: *const c_char,
    value: *const c_char,
) -> Status {
    guard("losant_device_add_http_header", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or NUL-terminated strings.
        let (name, value) = unsafe { (text_argument("name", name)?, optional_text_argument("value", value)?) };
        found.add_http_header(name, value)
    })
}

/// Sets the network interface that connections must use. Older kernels demand CAP_NET_RAW for it.
///
/// @param device the device, not connecting or connected
/// @param name for example "wwan0"; copied. NULL, the default, lets the system choose.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_UTF8; LOSANT_ERR_INVALID_ARGUMENT;
/// LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_interface(device: *mut losant_device, name: *const c_char) -> Status {
    guard("losant_device_set_interface", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        found.set_interface(unsafe { optional_text_argument("name", name)? })
    })
}

/// Sets roots to trust, as PEM text. By default only the roots that the library brings are trusted: DigiCert's, which sign
/// what broker.losant.com presents. The host name is always checked, and verification cannot be switched off.
///
/// A root is a self-signed CA certificate, or a server's own self-signed certificate. An intermediate certificate completes
/// the chain of a server that does not send it, but is not trusted without its root: LOSANT_ERR_CERTIFICATE_UNKNOWN then.
///
/// @param device the device, not connecting or connected
/// @param pem one or more certificates ("BEGIN CERTIFICATE", or "BEGIN TRUSTED CERTIFICATE" unless its settings forbid that
/// it vouches for servers); other text and blocks are passed over; copied. NULL takes back what was set and trusts the
/// library's roots again.
/// @param replace true: trust these instead of the library's roots; false: besides them
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_UTF8; LOSANT_ERR_CERTIFICATE_FILE if it is not PEM with
/// certificates; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_ca_pem(
    device: *mut losant_device,
    pem: *const c_char,
    replace: bool,
) -> Status {
    guard("losant_device_set_ca_pem", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        let pem = if pem.is_null() { None } else { Some(unsafe { pem_argument("pem", pem)? }) };
        found.set_ca_pem(pem, replace)
    })
}

/// Sets a file with roots to trust, PEM, as losant_device_set_ca_pem takes them. It is read again at each connection, so that
/// a rotated file needs no restart; one that cannot be read then is an error event with LOSANT_ERR_CERTIFICATE_FILE, and
/// tried again.
///
/// @param device the device, not connecting or connected
/// @param path the file; copied. NULL takes back what was set and trusts the library's roots again.
/// @param replace true: trust these instead of the library's roots; false: besides them
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_UTF8; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_ca_file(
    device: *mut losant_device,
    path: *const c_char,
    replace: bool,
) -> Status {
    guard("losant_device_set_ca_file", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or a NUL-terminated string.
        found.set_ca_file(unsafe { optional_text_argument("path", path)? }.map(Path::new), replace)
    })
}

/// Sets whether to trust the operating system's roots too. The default is false.
///
/// @param device the device, not connecting or connected
/// @param trusted true: besides whatever else is trusted
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_system_roots(device: *mut losant_device, trusted: bool) -> Status {
    guard("losant_device_set_system_roots", || handle::find(device)?.set_system_roots(trusted))
}

/// Sets the device's own certificate, for brokers that ask for one; key and secret of losant_device_new are sent as well
/// unless they are NULL. Both texts may hold more than what is looked for, such as "Bag Attributes", and be the same one.
///
/// @param device the device, not connecting or connected
/// @param certificates PEM: the certificate, then any intermediate ones; copied
/// @param key PEM: the private key, the first one if there are several, unencrypted, as PKCS#8 ("BEGIN PRIVATE KEY"), PKCS#1
/// ("BEGIN RSA PRIVATE KEY") or SEC1 ("BEGIN EC PRIVATE KEY"); copied, and wiped from memory with the device, but for what
/// OpenSSL, which reads it, may leave behind
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8;
/// LOSANT_ERR_CERTIFICATE_FILE if they are not that, do not belong together, or the key is encrypted: nobody is asked for a
/// pass phrase; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_client_certificate_pem(
    device: *mut losant_device,
    certificates: *const c_char,
    key: *const c_char,
) -> Status {
    guard("losant_device_set_client_certificate_pem", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or NUL-terminated strings.
        let (certificates, key) = unsafe { (pem_argument("certificates", certificates)?, pem_argument("key", key)?) };
        found.set_client_certificate_pem(certificates, key)
    })
}

/// Sets files with the device's own certificate chain and key, PEM, as losant_device_set_client_certificate_pem takes them.
/// They are read again at each connection, so that they can be renewed without a restart; what
/// losant_device_set_client_certificate_pem would refuse is an error event with LOSANT_ERR_CERTIFICATE_FILE then.
///
/// @param device the device, not connecting or connected
/// @param certificates path of the certificate file; copied
/// @param key path of the key file; copied
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_NULL_ARGUMENT; LOSANT_ERR_INVALID_UTF8;
/// LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub unsafe extern "C" fn losant_device_set_client_certificate_files(
    device: *mut losant_device,
    certificates: *const c_char,
    key: *const c_char,
) -> Status {
    guard("losant_device_set_client_certificate_files", || {
        let found = handle::find(device)?;
        // SAFETY: the caller passes NULL or NUL-terminated strings.
        let (certificates, key) = unsafe { (text_argument("certificates", certificates)?, text_argument("key", key)?) };
        found.set_client_certificate_files(Path::new(certificates), Path::new(key))
    })
}

/// Sets the MQTT keep-alive. The default is 15 seconds. A link that has died silently is found within
/// twice this time; what was sent before has the time that a slow link needs for it.
///
/// @param device the device, not connecting or connected
/// @param seconds 1 to 65535
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_keep_alive_seconds(device: *mut losant_device, seconds: u32) -> Status {
    guard("losant_device_set_keep_alive_seconds", || handle::find(device)?.set_keep_alive_seconds(seconds))
}

/// Sets whether to subscribe to commands. The default is true. For devices that only report, and for brokers that close the
/// connection of a device that may not subscribe.
///
/// @param device the device, not connecting or connected
/// @param wanted false: no command arrives, and the connection is complete as soon as the broker has accepted it
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_receive_commands(device: *mut losant_device, wanted: bool) -> Status {
    guard("losant_device_set_receive_commands", || handle::find(device)?.set_receive_commands(wanted))
}

/// Sets the MQTT quality of service of states. The default is 1.
///
/// @param device the device, not connecting or connected
/// @param qos 1: a state is kept until the broker acknowledges it, and sent again on the next connection if it does not;
/// 0: until it has been written to the network. The platform has no QoS 2.
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_qos(device: *mut losant_device, qos: c_int) -> Status {
    guard("losant_device_set_qos", || {
        let found = handle::find(device)?;
        let qos = u8::try_from(qos)
            .map_err(|_| Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("QoS is {qos}; it must be 0 or 1")))?;
        found.set_qos(qos)
    })
}

/// Sets the bounds of the delay before a reconnect. Each delay is random between 0 and a ceiling, which doubles with every
/// failure, so that a fleet does not come back at one moment.
///
/// @param device the device, not connecting or connected
/// @param initial_ms the first ceiling in milliseconds, 1 to 86400000 (a day); the default is 1000
/// @param max_ms the last ceiling in milliseconds, initial_ms to 86400000; the default is 60000
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_reconnect_delay(
    device: *mut losant_device,
    initial_ms: u32,
    max_ms: u32,
) -> Status {
    guard("losant_device_set_reconnect_delay", || {
        handle::find(device)?.set_reconnect_delay(initial_ms.into(), max_ms.into())
    })
}

/// Sets the deadline of one attempt to connect: name resolution, TCP, TLS, WebSocket and the broker's acceptance
/// together.
///
/// @param device the device, not connecting or connected
/// @param timeout_ms milliseconds, 1 to 86400000 (a day); the default is 30000
/// @return LOSANT_OK; LOSANT_ERR_INVALID_HANDLE; LOSANT_ERR_INVALID_ARGUMENT; LOSANT_ERR_ALREADY_RUNNING
#[unsafe(no_mangle)]
pub extern "C" fn losant_device_set_connect_timeout(device: *mut losant_device, timeout_ms: u32) -> Status {
    guard("losant_device_set_connect_timeout", || handle::find(device)?.set_connect_timeout(timeout_ms.into()))
}
