//! Variables that a configuration defines: `[map.NAME]`, `[geo.NAME]`, `[split.NAME]`, `[signed.NAME]`.
//!
//! A value is looked up when a text names the variable, from other variables; none is defined by itself, which `validate`
//! sees to. Looked up as nginx does it: case does not matter, the longest host and network win, expressions go in order.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::heads::WithCaptures;
use super::signed::Signed;
use super::text::{Lookup, Text};
use super::variable::Variable;
use crate::types::pattern::Pattern;

/// All of them, by their names.
pub type Definitions = BTreeMap<Box<str>, Definition>;

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// What it is worked out from.
    pub of: Text,
    /// How.
    pub by: Definer,
}

/// How a variable is worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Definer {
    /// By what the text is.
    Map(Map),
    /// By the network that an address is in; of several the narrowest.
    Geo {
        /// By network.
        networks: Vec<(IpNet, Text)>,
        /// Of no network.
        default: Text,
        /// Whose `X-Forwarded-For` is believed.
        proxies: Vec<IpNet>,
        /// Whether the last address there counts that is none of theirs.
        recursive: bool,
    },
    /// By a number that is made of the text: so many ten-thousandths of all get the value. What is left gets none.
    Split(Vec<(u32, Text)>),
    /// By whether it is signed.
    Signed(Signed),
}

/// Cases of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// As the configuration has them.
    pub cases: Vec<(Case, Text)>,
    /// Whether `*.h`, `.h` and `h.*` are patterns of hosts.
    pub hosts: bool,
    /// What no case is.
    pub default: Text,
    /// Places of those cases that are texts, in lower case.
    texts: BTreeMap<Box<[u8]>, usize>,
    /// Places of those that are expressions.
    patterns: Vec<usize>,
}

/// What a text is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Case {
    /// A text, whose case does not matter.
    Text(Box<str>),
    /// An expression.
    Pattern(Box<Pattern>),
}

impl Map {
    /// With these cases.
    pub fn new(cases: Vec<(Case, Text)>, hosts: bool, default: Text) -> Self {
        let mut map = Self {
            hosts,
            default,
            ..Self::default()
        };
        for (place, (case, _)) in cases.iter().enumerate() {
            match case {
                Case::Pattern(_) => map.patterns.push(place),
                Case::Text(text) => {
                    let key = text.to_ascii_lowercase().into_bytes().into();
                    map.texts.entry(key).or_insert(place);
                }
            }
        }
        map.cases = cases;
        map
    }

    fn append(&self, key: &[u8], values: &dyn Lookup, out: &mut Vec<u8>) {
        let lower = key.to_ascii_lowercase();
        let found = self.texts.get(&*lower).copied();
        let found = found.or_else(|| self.hosts.then(|| self.host(&lower)).flatten());
        if let Some((_, text)) = found.and_then(|place| self.cases.get(place)) {
            return out.extend_from_slice(&text.value(values));
        }
        for place in &self.patterns {
            let Some((Case::Pattern(pattern), text)) = self.cases.get(*place) else {
                continue;
            };
            if let Some(captures) = &pattern.find(key) {
                let values = WithCaptures { values, captures };
                return out.extend_from_slice(&text.value(&values));
            }
        }
        out.extend_from_slice(&self.default.value(values));
    }

    /// The case that a host falls under: the longest `*.h` or `.h`, then the longest `h.*`.
    fn host(&self, host: &[u8]) -> Option<usize> {
        let host = host.strip_suffix(b".").unwrap_or(host);
        let of = |text: &[u8]| self.texts.get(text).copied();
        if let Some(place) = of(&[b".", host].concat()).or_else(|| of(host)) {
            return Some(place);
        }
        let dots = || {
            let dots = host.iter().enumerate();
            dots.filter(|(_, byte)| **byte == b'.').map(|(at, _)| at)
        };
        for at in dots() {
            let rest = host.get(at..).unwrap_or_default();
            if let Some(place) = of(&[b"*", rest].concat()).or_else(|| of(rest)) {
                return Some(place);
            }
        }
        let mut ends: Vec<_> = dots().collect();
        ends.reverse();
        ends.into_iter()
            .find_map(|at| of(&[host.get(..at).unwrap_or_default(), b".*"].concat()))
    }
}

impl Definition {
    /// Appends its value for one request.
    pub fn append(&self, values: &dyn Lookup, out: &mut Vec<u8>) {
        let key = self.of.value(values);
        match &self.by {
            Definer::Map(map) => map.append(&key, values, out),
            Definer::Geo {
                networks,
                default,
                proxies,
                recursive,
            } => {
                let mut address = address(&key);
                if !proxies.is_empty() {
                    address = address.map(|own| behind(own, proxies, *recursive, values));
                }
                // What is no address is in the networks of all addresses, as in nginx, and in hardly any other.
                let address = address.unwrap_or(Ipv4Addr::BROADCAST.into());
                let text = narrowest(networks, address);
                out.extend_from_slice(&text.unwrap_or(default).value(values));
            }
            Definer::Signed(signed) => signed.append(&key, values, out),
            Definer::Split(shares) => {
                let number = murmur2(&key);
                let mut end = 0u64;
                for (share, text) in shares {
                    end += u64::from(*share) * u64::from(u32::MAX) / 10_000;
                    if u64::from(number) < end || *share == 0 {
                        return out.extend_from_slice(&text.value(values));
                    }
                }
            }
        }
    }

    /// The variables it is made of.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.texts().flat_map(Text::variables)
    }

    /// Its texts.
    pub fn texts(&self) -> impl Iterator<Item = &Text> {
        let texts: Vec<&Text> = match &self.by {
            Definer::Map(map) => {
                let cases = map.cases.iter().map(|(_, text)| text);
                cases.chain([&map.default]).collect()
            }
            Definer::Geo {
                networks, default, ..
            } => {
                let networks = networks.iter().map(|(_, text)| text);
                networks.chain([default]).collect()
            }
            Definer::Split(shares) => shares.iter().map(|(_, text)| text).collect(),
            Definer::Signed(signed) => signed.texts().collect(),
        };
        texts.into_iter().chain([&self.of])
    }
}

/// An address as text, or as the 4 or 16 bytes of `$binary_remote_addr`.
fn address(key: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(key).ok();
    if let Some(address) = text.and_then(|text| text.parse().ok()) {
        return Some(address);
    }
    if let Ok(bytes) = <[u8; 4]>::try_from(key) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    let bytes = <[u8; 16]>::try_from(key).ok()?;
    Some(Ipv6Addr::from(bytes).into())
}

/// Who speaks through proxies, by `X-Forwarded-For`, from its end.
fn behind(own: IpAddr, proxies: &[IpNet], recursive: bool, values: &dyn Lookup) -> IpAddr {
    let mut list = Vec::new();
    let field = Variable::RequestField("x-forwarded-for".to_owned());
    values.append(&field, &mut list);
    let mut address = own;
    for one in list.rsplit(|byte| matches!(byte, b',' | b' ')) {
        if one.is_empty() {
            continue;
        }
        let told = std::str::from_utf8(one)
            .ok()
            .and_then(|one| one.parse().ok());
        let is_proxy = |net: &IpNet| net.contains(&address.to_canonical());
        let (Some(told), true) = (told, proxies.iter().any(is_proxy)) else {
            break;
        };
        address = told;
        if !recursive {
            break;
        }
    }
    address
}

fn narrowest(networks: &[(IpNet, Text)], address: IpAddr) -> Option<&Text> {
    let address = address.to_canonical();
    let within = networks.iter().filter(|(net, _)| net.contains(&address));
    let found = within.max_by_key(|(net, _)| net.prefix_len());
    found.map(|(_, text)| text)
}

/// MurmurHash2 with a seed of 0, by which nginx splits: whoever had a variant keeps it.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = word
            .iter()
            .rev()
            .fold(0, |k, byte| k << 8 | u32::from(*byte));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest
            .iter()
            .rev()
            .fold(0, |k, byte| k << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every variable is worth this.
    struct Always(&'static str);

    impl Lookup for Always {
        fn append(&self, _: &Variable, out: &mut Vec<u8>) {
            out.extend_from_slice(self.0.as_bytes());
        }
    }

    fn value(by: Definer, of: &'static str) -> String {
        let of_it = Text::parse("$uri").unwrap();
        let mut out = Vec::new();
        Definition { of: of_it, by }.append(&Always(of), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn map(of: &'static str) -> String {
        let case = |text: &str| Case::Text(text.into());
        let pattern = |text: &str| Case::Pattern(Box::new(Pattern::new(text, false).unwrap()));
        let text = |text: &str| Text::parse(text).unwrap();
        let cases = vec![
            (pattern("^(.)z"), text("p$1")),
            (case("*.b.c"), text("star")),
            (case(".a.b.c"), text("dot")),
            (case("a.*"), text("end")),
            (case("Xz"), text("x")),
            (pattern("z"), text("second")),
        ];
        value(Definer::Map(Map::new(cases, true, text("none"))), of)
    }

    #[test]
    fn a_text_wins_over_hosts_hosts_over_expressions_and_those_go_in_order() {
        for (of, wanted) in [
            ("xZ", "x"),
            ("yz", "py"),
            ("zz.b.c", "star"),
            ("q.a.b.c", "dot"),
            ("A.B.C", "dot"),
            ("a.z", "end"),
            ("\u{e9}", "none"),
            ("", "none"),
        ] {
            assert_eq!(map(of), wanted, "{of}");
        }
    }

    #[test]
    fn the_narrowest_network_wins_in_whichever_form_the_address_comes() {
        let geo = |of| {
            let text = |text: &str| Text::constant(text);
            let networks = vec![
                ("10.0.0.0/8".parse().unwrap(), text("wide")),
                ("10.1.0.0/16".parse().unwrap(), text("narrow")),
                ("fd00::/8".parse().unwrap(), text("six")),
            ];
            let geo = Definer::Geo {
                networks,
                default: text("none"),
                proxies: Vec::new(),
                recursive: false,
            };
            value(geo, of)
        };
        for (of, wanted) in [
            ("10.1.2.3", "narrow"),
            ("10.2.2.3", "wide"),
            ("::ffff:10.1.2.3", "narrow"),
            ("fd00::1", "six"),
            ("\n\u{1}\u{1}\u{1}", "narrow"),
            ("x", "none"),
        ] {
            assert_eq!(geo(of), wanted, "{of}");
        }
    }

    #[test]
    fn the_hash_is_that_of_nginx() {
        // Values of the function's own reference.
        assert_eq!(murmur2(b""), 0);
        assert_eq!(murmur2(b"abc"), 0x1357_7c9b);
    }
}
