//! The list compressed with gzip (RFC 1952). Each block is compressed separately, so that a longer
//! list costs only what is new in it. The blocks begin at fixed positions, so equal lists are
//! compressed to equal bytes on every replica of one release, as a strong entity tag promises.

use flate2::{Compress, CompressError, Compression, Crc, FlushCompress, Status};

use crate::document::Document;

use super::text::Listing;

/// The bytes of a block. Each block is compressed without the block before it, which adds about 1 %
/// to the size.
const BLOCK: usize = 64 * 1024;

/// RFC 1952 §2.3: deflate, no flags, no time, from an unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// RFC 1951 §3.2.4: the empty stored block that ends a flush. The library may read the whole text
/// and flush it only in the next call.
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

/// A compressed block and the checksum of its text.
struct Block {
    packed: Vec<u8>,
    checksum: Crc,
}

/// Compresses lists, and keeps the blocks that the next longer list begins with.
#[derive(Default)]
pub(super) struct Packer {
    edition: u64,
    blocks: Vec<Block>,
}

impl Packer {
    /// The compressed form of this list, with its own entity tag.
    pub(super) fn pack(&mut self, listing: &Listing) -> Result<Document, CompressError> {
        let body: &[u8] = &listing.document.body;
        if self.edition != listing.edition {
            self.blocks.clear();
            self.edition = listing.edition;
        }
        let (blocks, rest) = body.split_at(listing.lasting.min(body.len()) / BLOCK * BLOCK);
        // A list that is older than the last one has fewer of these blocks.
        let known = self.blocks.len().min(blocks.len() / BLOCK);
        for block in blocks.chunks_exact(BLOCK).skip(known) {
            let mut checksum = Crc::new();
            checksum.update(block);
            self.blocks.push(Block {
                packed: deflate(block, FlushCompress::Full)?,
                checksum,
            });
        }
        let mut packed = HEADER.to_vec();
        let mut checksum = Crc::new();
        for block in self.blocks.iter().take(blocks.len() / BLOCK) {
            packed.extend_from_slice(&block.packed);
            checksum.combine(&block.checksum);
        }
        packed.extend_from_slice(&deflate(rest, FlushCompress::Finish)?);
        let mut last = Crc::new();
        last.update(rest);
        checksum.combine(&last);
        packed.extend_from_slice(&checksum.sum().to_le_bytes());
        packed.extend_from_slice(&checksum.amount().to_le_bytes());
        Ok(Document {
            body: packed.into(),
            etag: listing.document.gzip_etag(),
        })
    }
}

/// A whole text compressed, for a text that will not grow.
pub(super) fn pack_whole(text: &[u8]) -> Result<Vec<u8>, CompressError> {
    let mut packed = HEADER.to_vec();
    packed.extend_from_slice(&deflate(text, FlushCompress::Finish)?);
    let mut checksum = Crc::new();
    checksum.update(text);
    packed.extend_from_slice(&checksum.sum().to_le_bytes());
    packed.extend_from_slice(&checksum.amount().to_le_bytes());
    Ok(packed)
}

/// Raw deflate (RFC 1951) of a whole text, flushed to a whole byte.
fn deflate(text: &[u8], flush: FlushCompress) -> Result<Vec<u8>, CompressError> {
    let mut compress = Compress::new(Compression::fast(), false);
    let mut packed = Vec::with_capacity(text.len() / 2 + 64);
    let mut rest = text;
    loop {
        packed.reserve(rest.len() / 2 + 64);
        let before = compress.total_in();
        let status = compress.compress_vec(rest, &mut packed, flush)?;
        let read =
            usize::try_from(compress.total_in().saturating_sub(before)).unwrap_or(rest.len());
        rest = rest.get(read..).unwrap_or_default();
        let is_done = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            _ => rest.is_empty() && packed.ends_with(&FLUSHED),
        };
        if is_done {
            return Ok(packed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use uuid::Uuid;

    use super::super::text::Text;
    use super::*;
    use crate::domain::id::Jti;
    use crate::domain::time::Timestamp;

    fn unpacked(document: &Document) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&*document.body)
            .read_to_end(&mut plain)
            .unwrap();
        plain
    }

    fn add(text: &mut Text, from: u128, tokens: u128) {
        for n in from..from + tokens {
            text.add_token(
                Jti(Uuid::from_u128(
                    n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_0000_1234_5679),
                )),
                Timestamp(9),
            );
        }
    }

    #[test]
    fn lists_of_every_length_are_packed_whole_and_alike_however_they_grew() {
        let (mut text, mut kept) = (Text::default(), Packer::default());
        let (mut from, mut shorter) = (1, text.write_down(0));
        // Empty, within a block, at the end of a block, over several blocks, and one token more
        // each time.
        for tokens in [0, 1, 1_500, 180, 1, 1, 6_000, 1] {
            add(&mut text, from, tokens);
            from += tokens;
            let listing = text.write_down(i64::try_from(from).unwrap());
            let packed = kept.pack(&listing).unwrap();
            assert_eq!(unpacked(&packed), listing.document.body);
            let anew = Packer::default().pack(&listing).unwrap();
            assert_eq!(
                (anew.body, anew.etag),
                (packed.body.clone(), packed.etag.clone())
            );
            assert_eq!(
                packed.etag,
                format!("{}-gzip\"", listing.document.etag.trim_end_matches('"'))
            );
            // The list before this one can still be compressed.
            assert_eq!(
                unpacked(&kept.pack(&shorter).unwrap()),
                shorter.document.body
            );
            shorter = listing;
        }
        assert!(kept.pack(&shorter).unwrap().body.len() * 5 < shorter.document.body.len() * 4);
        let mut other = text.next();
        add(&mut other, 77, 4_000);
        let other = other.write_down(1);
        assert_eq!(unpacked(&kept.pack(&other).unwrap()), other.document.body);
    }

    #[test]
    fn any_text_is_deflated_whole() {
        // Noise cannot be compressed, and becomes longer.
        let mut word: u64 = 88_172_645_463_325_252;
        let mut noise = || {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            word.to_le_bytes()[3]
        };
        for length in [0, 1, 100, BLOCK - 1, BLOCK, 3 * BLOCK] {
            for text in [vec![b'a'; length], (0..length).map(|_| noise()).collect()] {
                let mut packed = deflate(&text, FlushCompress::Full).unwrap();
                packed.extend(deflate(&text, FlushCompress::Finish).unwrap());
                let mut plain = Vec::new();
                flate2::read::DeflateDecoder::new(&*packed)
                    .read_to_end(&mut plain)
                    .unwrap();
                assert_eq!(plain, text.repeat(2), "{length}");
            }
        }
    }
}
