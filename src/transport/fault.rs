//! What an error of a stream means: one of the operating system, or one of OpenSSL, by its codes.

use super::watched::ClientSide;
use crate::status::{
    Error,
    Status::{self, *},
};
use nix::errno::Errno;
use openssl::error::ErrorStack;
use std::{
    error::Error as _,
    fmt::Display,
    io::{self, ErrorKind::*},
};

/// The cause of an error on a stream and a sentence that begins with `what`.
pub(super) fn from_io(what: &str, e: &io::Error) -> Error {
    let words = e.to_string();
    let of_tls = e.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let status = of_tls.map_or_else(|| of_system(e), |error| error.status);
    Error::new(status, format!("{what}: {}{words}", status_words(status)))
}

/// Whether the system has refused descriptors or memory: the network is not to blame then. ENOSPC is the word of epoll_ctl(2)
/// for too many watches.
pub(super) fn is_refusal(e: &io::Error) -> bool {
    let errno = e.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::ENOSPC))
}

fn of_system(e: &io::Error) -> Status {
    match e.kind() {
        _ if is_refusal(e) => LOSANT_ERR_SYSTEM,
        ConnectionRefused => LOSANT_ERR_REFUSED,
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof | NotConnected => LOSANT_ERR_CONNECTION_LOST,
        TimedOut => LOSANT_ERR_TIMED_OUT,
        InvalidData => LOSANT_ERR_WEBSOCKET,
        _ => LOSANT_ERR_NETWORK,
    }
}

/// The meaning in front of the words of the system's refusals and of TLS, which few can read.
fn status_words(status: Status) -> String {
    let is_of_tls = status.code() <= LOSANT_ERR_TLS.code() && status != LOSANT_ERR_WEBSOCKET;
    if is_of_tls || status == LOSANT_ERR_SYSTEM { format!("{status}: ") } else { String::new() }
}

/// Why an established connection has gone.
pub(crate) fn lost(e: &io::Error) -> Error {
    let mut error = from_io("the connection was lost", e);
    if error.status == LOSANT_ERR_TIMED_OUT {
        // The kernel's word for data that nobody acknowledged.
        error.status = LOSANT_ERR_KEEP_ALIVE;
    }
    error
}

/// An error on an established TLS connection, with its meaning inside if it is one of TLS: only here is known what a refusal
/// has to do with the client certificate. With TLS 1.3 the broker's refusal comes after the handshake.
pub(super) fn established(e: io::Error, client: ClientSide) -> io::Error {
    let Some(of_tls) = e.get_ref().and_then(|inner| inner.downcast_ref::<openssl::ssl::Error>()) else {
        return e;
    };
    // Without an error of OpenSSL's own, the stream has ended.
    let status = of_tls.ssl_error().map_or(LOSANT_ERR_CONNECTION_LOST, |stack| cause(stack, client));
    io::Error::other(Error::new(status, of_tls.to_string()))
}

/// TLS that cannot even begin.
pub(super) fn setup(e: &impl Display) -> Error {
    Error::new(LOSANT_ERR_TLS, format!("TLS cannot be set up: {e}"))
}

/// A failed TLS handshake.
pub(super) fn handshake(e: &native_tls::Error, client: ClientSide) -> Error {
    let words = e.to_string();
    let source = e.source();
    let status = if let Some(stack) = source.and_then(|source| source.downcast_ref::<ErrorStack>()) {
        if is_verification(stack) {
            return verification(&words);
        }
        cause(stack, client)
    } else if let Some(e) = source.and_then(|source| source.downcast_ref::<io::Error>()) {
        of_system(e)
    } else if ENDS.iter().any(|end| words.starts_with(end)) {
        LOSANT_ERR_CONNECTION_LOST
    } else {
        LOSANT_ERR_TLS
    };
    let hint = if status == LOSANT_ERR_CONNECTION_LOST && client.asked && !client.has_certificate {
        "; it had asked for a client certificate, and none is set"
    } else {
        ""
    };
    Error::new(status, format!("{status}: {words}{hint}"))
}

/// What the `openssl` crate says of a connection that ends in the handshake, where native-tls hands out nothing else.
const ENDS: [&str; 2] = ["unexpected EOF", "the SSL session has been shut down"];

/// The library number of TLS, from openssl/err.h.
const ERR_LIB_SSL: i32 = 20;

// Reasons of that library, from openssl/sslerr.h. They are part of OpenSSL's ABI.
const SSL_R_CERTIFICATE_VERIFY_FAILED: i32 = 134;
const SSL_R_UNSUPPORTED_PROTOCOL: i32 = 258;
const SSL_R_WRONG_SSL_VERSION: i32 = 266;
const SSL_R_UNEXPECTED_EOF_WHILE_READING: i32 = 294;
const SSL_R_CA_KEY_TOO_SMALL: i32 = 397;
const SSL_R_CA_MD_TOO_WEAK: i32 = 398;
const SSL_R_EE_KEY_TOO_SMALL: i32 = 399;

/// An alert from the other side is this plus its number in RFC 8446 section 6 (SSL_AD_REASON_OFFSET in openssl/ssl.h).
const ALERT: i32 = 1000;
const HANDSHAKE_FAILURE: i32 = ALERT + 40;
const BAD_CERTIFICATE: i32 = ALERT + 42;
const CERTIFICATE_UNKNOWN: i32 = ALERT + 46;
const UNKNOWN_CA: i32 = ALERT + 48;
const ACCESS_DENIED: i32 = ALERT + 49;
const DECRYPT_ERROR: i32 = ALERT + 51;
const PROTOCOL_VERSION: i32 = ALERT + 70;
const CERTIFICATE_REQUIRED: i32 = ALERT + 116;

fn reasons(stack: &ErrorStack) -> impl Iterator<Item = i32> + '_ {
    stack.errors().iter().filter(|e| e.library_code() == ERR_LIB_SSL).map(|e| e.reason_code())
}

fn is_verification(stack: &ErrorStack) -> bool {
    reasons(stack).any(|reason| reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
}

/// The cause of an error of TLS.
fn cause(stack: &ErrorStack, client: ClientSide) -> Status {
    reasons(stack).find_map(|reason| of_reason(reason, client)).unwrap_or(LOSANT_ERR_TLS)
}

fn of_reason(reason: i32, client: ClientSide) -> Option<Status> {
    let about_certificate = if client.has_certificate {
        LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED
    } else {
        LOSANT_ERR_CLIENT_CERTIFICATE_REQUIRED
    };
    match reason {
        SSL_R_UNEXPECTED_EOF_WHILE_READING => Some(LOSANT_ERR_CONNECTION_LOST),
        SSL_R_UNSUPPORTED_PROTOCOL | SSL_R_WRONG_SSL_VERSION | PROTOCOL_VERSION => Some(LOSANT_ERR_TLS_VERSION),
        // Of the chain that is about to be sent: one that has come fails in verification.
        SSL_R_CA_KEY_TOO_SMALL | SSL_R_CA_MD_TOO_WEAK | SSL_R_EE_KEY_TOO_SMALL => Some(LOSANT_ERR_CERTIFICATE_FILE),
        BAD_CERTIFICATE..=CERTIFICATE_UNKNOWN | UNKNOWN_CA | CERTIFICATE_REQUIRED => Some(about_certificate),
        // Said of what both sides can, and by most servers with TLS 1.2 of a client that shows no certificate; the latter
        // only after they have asked for it.
        HANDSHAKE_FAILURE if client.asked => Some(about_certificate),
        // Also said for reasons that have nothing to do with a certificate.
        ACCESS_DENIED | DECRYPT_ERROR if client.has_certificate => Some(LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED),
        _ => None,
    }
}

/// Why the broker's certificate is not trusted. native-tls shows the code of it in words only, those of
/// X509_verify_cert_error_string(3), which from OpenSSL 1.1 to 3 have changed by a hyphen. The more special ones come first.
fn verification(words: &str) -> Error {
    const CAUSES: &[(&str, Status)] = &[
        ("certificate has expired", LOSANT_ERR_CERTIFICATE_EXPIRED),
        ("certificate is not yet valid", LOSANT_ERR_CERTIFICATE_NOT_YET_VALID),
        ("ostname mismatch", LOSANT_ERR_CERTIFICATE_WRONG_HOST),
        ("IP address mismatch", LOSANT_ERR_CERTIFICATE_WRONG_HOST),
        ("self-signed certificate in", LOSANT_ERR_CERTIFICATE_UNKNOWN),
        ("self signed certificate in", LOSANT_ERR_CERTIFICATE_UNKNOWN),
        ("self-signed certificate", LOSANT_ERR_CERTIFICATE_SELF_SIGNED),
        ("self signed certificate", LOSANT_ERR_CERTIFICATE_SELF_SIGNED),
        // A certificate whose flaw lies in itself is not helped by another root.
        ("too weak", LOSANT_ERR_TLS),
        ("revoked", LOSANT_ERR_TLS),
        ("purpose", LOSANT_ERR_TLS),
    ];
    let cause = CAUSES.iter().find(|(fragment, _)| words.contains(fragment));
    let status = cause.map_or(LOSANT_ERR_CERTIFICATE_UNKNOWN, |(_, status)| *status);
    let hint = if words.contains("unable to get issuer certificate") {
        // Of a certificate that was found among the trusted ones.
        "; the chain leads to a CA certificate that is set but is an intermediate: its self-signed root must be set"
    } else {
        ""
    };
    Error::new(status, format!("{status}: {words}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: ClientSide = ClientSide { has_certificate: false, asked: false };
    const ASKED: ClientSide = ClientSide { has_certificate: false, asked: true };
    const SHOWN: ClientSide = ClientSide { has_certificate: true, asked: true };

    #[test]
    fn alerts_about_certificates_depend_on_whether_one_is_set() {
        for alert in [42, 43, 44, 45, 46, 48, 116] {
            for (client, status) in [
                (NOTHING, LOSANT_ERR_CLIENT_CERTIFICATE_REQUIRED),
                (ASKED, LOSANT_ERR_CLIENT_CERTIFICATE_REQUIRED),
                (SHOWN, LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED),
            ] {
                assert_eq!(of_reason(ALERT + alert, client), Some(status), "{alert}, {client:?}");
            }
        }
        for (alert, client, status) in [
            (40, NOTHING, None),
            (40, ASKED, Some(LOSANT_ERR_CLIENT_CERTIFICATE_REQUIRED)),
            (40, SHOWN, Some(LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED)),
            (49, ASKED, None),
            (49, SHOWN, Some(LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED)),
            (51, ASKED, None),
            (51, SHOWN, Some(LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED)),
            (70, SHOWN, Some(LOSANT_ERR_TLS_VERSION)),
            (80, SHOWN, None),
        ] {
            assert_eq!(of_reason(ALERT + alert, client), status, "{alert}, {client:?}");
        }
    }

    #[test]
    fn the_words_of_verification_mean_what_openssl_1_1_and_3_say_with_them() {
        for (words, status) in [
            ("unable to get local issuer certificate", LOSANT_ERR_CERTIFICATE_UNKNOWN),
            ("unable to get issuer certificate", LOSANT_ERR_CERTIFICATE_UNKNOWN),
            ("unable to verify the first certificate", LOSANT_ERR_CERTIFICATE_UNKNOWN),
            ("certificate signature failure", LOSANT_ERR_CERTIFICATE_UNKNOWN),
            ("self-signed certificate in certificate chain", LOSANT_ERR_CERTIFICATE_UNKNOWN),
            ("self signed certificate in certificate chain", LOSANT_ERR_CERTIFICATE_UNKNOWN),
            ("self-signed certificate", LOSANT_ERR_CERTIFICATE_SELF_SIGNED),
            ("self signed certificate", LOSANT_ERR_CERTIFICATE_SELF_SIGNED),
            ("certificate has expired", LOSANT_ERR_CERTIFICATE_EXPIRED),
            ("certificate is not yet valid", LOSANT_ERR_CERTIFICATE_NOT_YET_VALID),
            ("Hostname mismatch", LOSANT_ERR_CERTIFICATE_WRONG_HOST),
            ("hostname mismatch", LOSANT_ERR_CERTIFICATE_WRONG_HOST),
            ("IP address mismatch", LOSANT_ERR_CERTIFICATE_WRONG_HOST),
            ("EE certificate key too weak", LOSANT_ERR_TLS),
            ("CA signature digest algorithm too weak", LOSANT_ERR_TLS),
            ("certificate revoked", LOSANT_ERR_TLS),
            ("unsupported certificate purpose", LOSANT_ERR_TLS),
            ("unsuitable certificate purpose", LOSANT_ERR_TLS),
        ] {
            assert_eq!(verification(&format!("certificate verify failed ({words})")).status, status, "{words}");
        }
    }

    #[test]
    fn what_the_system_refuses_is_told_from_what_the_network_does() {
        for (errno, status) in [
            (Errno::EMFILE, LOSANT_ERR_SYSTEM),
            (Errno::ENFILE, LOSANT_ERR_SYSTEM),
            (Errno::ENOBUFS, LOSANT_ERR_SYSTEM),
            (Errno::ENOMEM, LOSANT_ERR_SYSTEM),
            (Errno::ENOSPC, LOSANT_ERR_SYSTEM),
            (Errno::ENETUNREACH, LOSANT_ERR_NETWORK),
            (Errno::ECONNREFUSED, LOSANT_ERR_REFUSED),
            (Errno::ECONNRESET, LOSANT_ERR_CONNECTION_LOST),
        ] {
            let e = io::Error::from(errno);
            assert_eq!((from_io("x", &e).status, lost(&e).status), (status, status), "{errno}");
            assert!(from_io("x", &e).text.starts_with("x: "));
        }
        assert_eq!(lost(&Errno::ETIMEDOUT.into()).status, LOSANT_ERR_KEEP_ALIVE);
    }
}
