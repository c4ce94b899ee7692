use std::ops::Range;

/// An attribute as it stands in a tag, with the white space in front of it.
pub(super) struct Written<'a> {
    pub(super) range: Range<usize>,
    pub(super) name: &'a str,
    pub(super) value: &'a str,
}

/// The attributes of a tag that is known to be well-formed.
pub(super) fn written_attributes(tag: &str) -> Vec<Written<'_>> {
    let mut all = Vec::new();
    let mut at = tag.find(char::is_whitespace).unwrap_or(tag.len());
    while let Some(equals) = tag[at..].find('=').map(|place| at + place) {
        let name = tag[at..equals].trim();
        let Some(open) = tag[equals..].find(['"', '\'']).map(|place| equals + place) else { break };
        let quote = &tag[open..=open];
        let Some(close) = tag[open + 1..].find(quote).map(|place| open + 1 + place) else { break };
        all.push(Written { range: at..close + 1, name, value: &tag[open + 1..close] });
        at = close + 1;
    }
    all
}
