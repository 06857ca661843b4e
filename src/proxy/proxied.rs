//! What a load balancer's PROXY header said, as variables name it.
//!
//! For requests and for connections that are passed on; the names are nginx's. What a header did not say is empty.

use crate::config::ProxyFact;
use crate::transport::proxy_protocol::Proxied;

/// Appends the value of `fact`.
pub fn append(proxied: &Proxied, fact: ProxyFact, out: &mut Vec<u8>) {
    let (source, destination) = (proxied.source, proxied.destination);
    let text = match fact {
        ProxyFact::Address => source.ip().to_string(),
        ProxyFact::Port => source.port().to_string(),
        ProxyFact::ServerAddress => destination.ip().to_string(),
        ProxyFact::ServerPort => destination.port().to_string(),
        ProxyFact::TlsVerify => match proxied.values.tls_verify() {
            Some(verify) => verify.to_string(),
            None => return,
        },
        ProxyFact::Value(kind) => {
            let value = proxied.values.get(kind);
            return out.extend_from_slice(value.unwrap_or_default());
        }
        ProxyFact::TlsValue(kind) => {
            let value = proxied.values.of_tls(kind);
            return out.extend_from_slice(value.unwrap_or_default());
        }
    };
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Lookup, Text, Variable};
    use crate::transport::proxy_protocol::{Verdict, parse, write_v2};
    use crate::transport::proxy_values::Wanted;

    /// A connection of which nothing else is known that a log could name.
    struct Alone<'a>(&'a Proxied);

    impl Lookup for Alone<'_> {
        fn append(&self, variable: &Variable, out: &mut Vec<u8>) {
            if let Variable::ProxyProtocol(fact) = variable {
                append(self.0, *fact, out);
            }
        }
    }

    #[test]
    fn every_part_of_a_header_has_a_name() {
        let tls = b"\x07\0\0\0\x13\x21\0\x07TLSv1.3\x22\0\x05alice\x23\0\x02CS\x24\0\x06SHA256\x25\0\x07RSA2048";
        let wanted = Wanted {
            alpn: Some(b"h2"),
            authority: Some(b"hub.example"),
            tls: Some(tls),
            unique_id: Some(b"id-1"),
            checksum: true,
        };
        let (source, destination) = ("192.0.2.7:8080", "198.51.100.1:443");
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        let header = write_v2(source, destination, wanted);
        let Ok(Verdict::Complete(_, _, values)) = parse(&header) else {
            unreachable!("it is whole");
        };
        let proxied = Proxied {
            sender: ([192, 0, 2, 99], 1).into(),
            source,
            destination,
            values,
        };
        let text = "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port \
             $proxy_protocol_tlv_alpn $proxy_protocol_tlv_0x02 $proxy_protocol_tlv_unique_id [$proxy_protocol_tlv_netns] \
             $proxy_protocol_tlv_ssl_verify $proxy_protocol_tlv_ssl_version $proxy_protocol_tlv_ssl_cn \
             $proxy_protocol_tlv_ssl_cipher $proxy_protocol_tlv_ssl_sig_alg $proxy_protocol_tlv_ssl_key_alg";
        let text = Text::parse(text).unwrap();
        let found = String::from_utf8(text.value(&Alone(&proxied)).into_owned()).unwrap();
        assert_eq!(
            found,
            "192.0.2.7 8080 198.51.100.1 443 h2 hub.example id-1 [] 19 TLSv1.3 alice CS SHA256 RSA2048"
        );
    }
}
