//! PEM as tools write it (RFC 7468): blocks among other text, several in one file, whatever ends the lines. What goes to
//! OpenSSL is written anew, so that it finds nothing to ask a pass phrase for: it would ask on the terminal.

use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";

struct Block<'a> {
    label: &'a str,
    body: &'a [u8],
}

/// The certificates of a text, as plain PEM; why not, if there are none.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<u8>, String> {
    let blocks = blocks(text)?;
    let mut out = Vec::new();
    for block in blocks.iter().filter(|block| block.is_certificate()) {
        if block.is_encrypted() {
            return Err("it is encrypted".to_owned());
        }
        // OpenSSL reads the certificate that a TRUSTED CERTIFICATE begins with, and stops there.
        block.write("CERTIFICATE", &mut out);
    }
    if out.is_empty() { Err(lack(text, &blocks, "certificate")) } else { Ok(out) }
}

/// The same of those that are to be trusted: without those whose settings forbid that for servers.
pub(super) fn roots(text: &[u8]) -> Result<Vec<u8>, String> {
    let blocks = blocks(text)?;
    let plain = certificates(text)?;
    if !blocks.iter().any(|block| block.label == TRUSTED) {
        return Ok(plain);
    }
    let mut out = Vec::new();
    for block in blocks.iter().filter(|block| block.is_certificate()) {
        if block.label != TRUSTED || block.vouches_for_servers() {
            block.write("CERTIFICATE", &mut out);
        }
    }
    if out.is_empty() {
        Err("their settings let none of its certificates vouch for servers".to_owned())
    } else {
        Ok(out)
    }
}

/// The first private key of a text, alone; why not, if there is none.
pub(super) fn private_key(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let blocks = blocks(text)?;
    let key = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY"));
    let key = key.ok_or_else(|| lack(text, &blocks, "private key"))?;
    if key.is_encrypted() {
        return Err("it is encrypted, and there is no way to give a pass phrase: decrypt it, for example with \
                    \"openssl pkey -in key.pem -out plain.pem\""
            .to_owned());
    }
    if key.label.starts_with("OPENSSH") {
        return Err("it is in OpenSSH's own form: convert it, for example with \"ssh-keygen -p -m PKCS8 -f key.pem\""
            .to_owned());
    }
    // Large enough that it is not moved, which would leave a copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(2 * key.body.len() + 2 * key.label.len() + 64));
    key.write(key.label, &mut out);
    Ok(out)
}

/// Whether it begins as DER does: with the header of an ASN.1 sequence.
pub(crate) fn is_der(bytes: &[u8]) -> bool {
    matches!(bytes, [SEQUENCE, 0x80..=0x84, ..]) || matches!(element(bytes), Some((SEQUENCE, _, [])))
}

fn lack(text: &[u8], blocks: &[Block], what: &str) -> String {
    if is_der(text) {
        return "it is DER, which must be converted to PEM".to_owned();
    }
    if text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff]) {
        return "it is UTF-16, which must be converted to UTF-8".to_owned();
    }
    let labels: Vec<_> = blocks.iter().take(5).map(|block| block.label).collect();
    if labels.is_empty() {
        format!("no {what} begins in it")
    } else {
        format!("it holds no {what}, but {}", labels.join(", "))
    }
}

/// A block that is begun must end.
fn blocks(text: &[u8]) -> Result<Vec<Block<'_>>, String> {
    let (mut blocks, mut rest) = (Vec::new(), text);
    while let Some(at) = find(rest, BEGIN) {
        rest = &rest[at + BEGIN.len()..];
        let Some(label) = label(rest) else { continue };
        let body = &rest[label.len() + DASHES.len()..];
        let end = format!("-----END {label}-----");
        let length = find(body, end.as_bytes()).ok_or_else(|| format!("{label} has a begin and no end"))?;
        rest = &body[length + end.len()..];
        blocks.push(Block { label, body: &body[..length] });
    }
    Ok(blocks)
}

/// What stands here before the next dashes, if it can be a label.
fn label(text: &[u8]) -> Option<&str> {
    let length = find(&text[..text.len().min(64)], DASHES)?;
    let label = std::str::from_utf8(&text[..length]).ok()?;
    label.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b" #".contains(&b)).then_some(label)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

const TRUSTED: &str = "TRUSTED CERTIFICATE";

impl Block<'_> {
    fn is_certificate(&self) -> bool {
        ["CERTIFICATE", "X509 CERTIFICATE", TRUSTED].contains(&self.label)
    }

    /// By its label, as PKCS#8 has it, or by a header (RFC 1421).
    fn is_encrypted(&self) -> bool {
        let says_so = |line: &[u8]| line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED");
        self.label.starts_with("ENCRYPTED") || self.lines().any(says_so)
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.body.split(|b| b"\r\n".contains(b)).map(<[u8]>::trim_ascii)
    }

    /// What it encodes, without headers, which have a colon.
    fn base64(&self) -> impl Iterator<Item = u8> {
        let lines = self.lines().filter(|line| !line.contains(&b':'));
        lines.flatten().copied().filter(|b| !b.is_ascii_whitespace())
    }

    /// In lines of 64, as OpenSSL must have them.
    fn write(&self, label: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(BEGIN);
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(DASHES);
        for (at, byte) in self.base64().enumerate() {
            if at % 64 == 0 {
                out.push(b'\n');
            }
            out.push(byte);
        }
        out.extend_from_slice(b"\n-----END ");
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(b"-----\n");
    }

    /// Whether the settings of a TRUSTED CERTIFICATE let it vouch for servers. They stand behind the certificate
    /// (X509_CERT_AUX in OpenSSL): the purposes that it is trusted for, and those that it is rejected for.
    fn vouches_for_servers(&self) -> bool {
        let text: String = self.base64().map(char::from).collect();
        let Ok(der) = openssl::base64::decode_block(&text) else { return false };
        let Some((SEQUENCE, _, behind)) = element(&der) else { return false };
        if behind.is_empty() {
            return true;
        }
        let Some((SEQUENCE, mut settings, _)) = element(behind) else { return false };
        while !settings.is_empty() {
            let Some((tag, purposes, rest)) = element(settings) else { return false };
            let named = SERVER_PURPOSES.iter().any(|purpose| find(purposes, purpose).is_some());
            if tag == SEQUENCE && !named || tag == REJECTED && named {
                return false;
            }
            settings = rest;
        }
        true
    }
}

const SEQUENCE: u8 = 0x30;
const REJECTED: u8 = 0xa0;

/// serverAuth and anyExtendedKeyUsage (RFC 5280 section 4.2.1.12) as DER has them.
const SERVER_PURPOSES: [&[u8]; 2] = [b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01", b"\x06\x04\x55\x1d\x25\x00"];

/// The first DER element: its tag, its content, and what is behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let (digits, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = behind;
    }
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter;

    /// A certificate that is one for this module: a sequence.
    const CERTIFICATE: [u8; 5] = [SEQUENCE, 3, 2, 1, 0];

    fn trusted(settings: &[u8]) -> String {
        let body = openssl::base64::encode_block(&[&CERTIFICATE, settings].concat());
        format!("-----BEGIN {TRUSTED}-----\n{body}\n-----END {TRUSTED}-----\n")
    }

    /// The settings are what `openssl x509 -trustout` writes with these options.
    #[test]
    fn a_trusted_certificate_is_trusted_for_what_it_says() {
        for (options, settings, vouches) in [
            ("", &b""[..], true),
            ("-setalias abc", b"\x30\x05\x0c\x03abc", true),
            ("-addtrust serverAuth", b"\x30\x0c\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01", true),
            ("-addtrust anyExtendedKeyUsage", b"\x30\x08\x30\x06\x06\x04\x55\x1d\x25\x00", true),
            ("-addtrust emailProtection", b"\x30\x0c\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x04", false),
            ("-addreject serverAuth", b"\x30\x0c\xa0\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01", false),
            ("-addreject emailProtection", b"\x30\x0c\xa0\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x04", true),
            ("what cannot be read", b"\x30\x0c\xa0", false),
        ] {
            assert_eq!(roots(trusted(settings).as_bytes()).is_ok(), vouches, "{options}");
            assert!(certificates(trusted(settings).as_bytes()).is_ok(), "one's own is not judged by them: {options}");
        }
    }

    #[test]
    fn a_root_that_is_rejected_takes_no_other_with_it() {
        let rejected = trusted(b"\x30\x0c\xa0\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01");
        let plain = trusted(b"").replace(TRUSTED, "CERTIFICATE");
        assert_eq!(roots((rejected + &plain).as_bytes()).unwrap(), plain.as_bytes());
    }

    #[test]
    fn a_key_is_not_moved_in_memory_however_it_is_written() {
        for length in [0, 1, 63, 64, 65, 1000, 5000] {
            let body: String = iter::repeat_n('A', length).collect();
            let text = format!("-----BEGIN RSA PRIVATE KEY-----{body}-----END RSA PRIVATE KEY-----");
            let key = private_key(text.as_bytes()).unwrap();
            let size = 2 * length + 2 * "RSA PRIVATE KEY".len() + 64;
            assert!(key.len() <= size && key.capacity() < 2 * size, "{length}");
        }
    }

    #[test]
    fn anything_may_stand_between_and_nothing_is_read_beyond_the_end() {
        for text in
            ["-----BEGIN ", "-----BEGIN CERT", "-----BEGIN A-----", "-----BEGIN a-----", "0", "0\x01", "\u{feff}"]
        {
            assert!(certificates(text.as_bytes()).is_err(), "{text}");
            assert!(private_key(text.as_bytes()).is_err(), "{text}");
        }
        let block = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----");
        let all = ["-----BEGIN nothing", &block("A"), "text", &block("EC PRIVATE KEY"), &block("PRIVATE KEY")].concat();
        let key = private_key(all.as_bytes()).unwrap();
        assert_eq!(*key, (block("EC PRIVATE KEY") + "\n").into_bytes());
    }

    #[test]
    fn der_is_known_by_its_header() {
        for bytes in [&b"\x30\x82\x01\x00"[..], b"\x30\x81\x90", b"\x30\x80", &CERTIFICATE] {
            assert!(is_der(bytes), "{bytes:?}");
        }
        for bytes in [&b""[..], b"0", b"0123", b"\x30\x05ab", b"-----BEGIN", b"\xff\xfe0"] {
            assert!(!is_der(bytes), "{bytes:?}");
        }
    }
}
