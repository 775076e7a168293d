//! From when to when a certificate is good, and what an operator has to know of that.

use pkcs8::der::{
    Error, Header, Reader, SliceReader, Tag, TagNumber,
    asn1::{GeneralizedTime, UtcTime},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::domain::Timestamp;

/// How long before its end it is worth a warning: certificates are renewed weeks before, so that something is broken by then.
pub(crate) const EXPIRY_WARNING_DAYS: i64 = 14;

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// When a certificate is good, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    from: Timestamp,
    until: Timestamp,
}

/// What to think of a certificate at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateStatus {
    Good,
    /// Clients refuse it still.
    Early,
    /// It expires after so many whole days.
    Expiring {
        days: i64,
    },
    /// Clients refuse it.
    Expired,
}

impl CertificateStatus {
    /// Whether both are worth the same line: it is not told anew each day.
    pub(crate) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl Validity {
    /// Reads it from a certificate in DER; none if it is no X.509.
    ///
    /// Only as much is read as stands before it, with the reader of DER that keys are read with: nothing is decided by it
    /// but what is logged.
    pub(crate) fn read(certificate: &[u8]) -> Option<Self> {
        read(certificate).ok()
    }

    /// As a date for people.
    pub(crate) fn from(self) -> String {
        date(self.from)
    }

    /// The same.
    pub(crate) fn until(self) -> String {
        date(self.until)
    }

    pub(crate) fn standing(self, now: Timestamp) -> CertificateStatus {
        let days = (now.until(self.until).as_secs() / DAY_SECONDS).cast_signed();
        if now < self.from {
            CertificateStatus::Early
        } else if now > self.until {
            CertificateStatus::Expired
        } else if days < EXPIRY_WARNING_DAYS {
            CertificateStatus::Expiring { days }
        } else {
            CertificateStatus::Good
        }
    }
}

fn date(timestamp: Timestamp) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(timestamp.nanoseconds());
    moment
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// Certificate, TBSCertificate: version, serial number, signature, issuer, validity (RFC 5280, 4.1).
fn read(certificate: &[u8]) -> Result<Validity, Error> {
    let mut reader = SliceReader::new(certificate)?;
    enter(&mut reader)?;
    enter(&mut reader)?;
    if reader.peek_tag()?
        == (Tag::ContextSpecific {
            constructed: true,
            number: TagNumber::N0,
        })
    {
        reader.tlv_bytes()?;
    }
    for _ in ["serial number", "signature", "issuer"] {
        reader.tlv_bytes()?;
    }
    enter(&mut reader)?;
    Ok(Validity {
        from: time(&mut reader)?,
        until: time(&mut reader)?,
    })
}

/// Goes on inside a sequence; what stands behind it is not read.
fn enter(reader: &mut SliceReader<'_>) -> Result<(), Error> {
    reader
        .decode::<Header>()?
        .tag
        .assert_eq(Tag::Sequence)
        .map(drop)
}

fn time(reader: &mut SliceReader<'_>) -> Result<Timestamp, Error> {
    let since_1970 = match reader.peek_tag()? {
        Tag::UtcTime => reader.decode::<UtcTime>()?.to_unix_duration(),
        _ => reader.decode::<GeneralizedTime>()?.to_unix_duration(),
    };
    Ok(Timestamp::since_1970(since_1970))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    fn day((year, month, day): (i32, u8, u8)) -> Timestamp {
        Timestamp::from_seconds(date_time_ymd(year, month, day).unix_timestamp())
    }

    #[test]
    fn both_ends_are_read_in_either_way_of_writing_them() {
        // Since 2050 years have four digits.
        for (from, until) in [
            ((2026, 1, 2), (2026, 3, 4)),
            ((2049, 12, 31), (2050, 1, 1)),
            ((2050, 1, 1), (4096, 1, 1)),
        ] {
            let read = Validity::read(&certificate(from, until));
            assert_eq!(
                read,
                Some(Validity {
                    from: day(from),
                    until: day(until)
                })
            );
        }
    }

    #[test]
    fn people_are_told_a_date() {
        let validity = Validity {
            from: day((2026, 1, 2)),
            until: day((4096, 1, 1)),
        };
        assert_eq!(validity.from(), "2026-01-02T00:00:00Z");
        assert_eq!(validity.until(), "4096-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_certificate_has_none_and_harms_nobody() {
        let whole = certificate((2026, 1, 2), (2026, 3, 4));
        let read = Validity::read(&whole);
        // What stands behind it is not looked at.
        let first = (0..whole.len())
            .find(|cut| Validity::read(&whole[..*cut]).is_some())
            .unwrap();
        assert!(
            (first..whole.len()).all(|cut| Validity::read(&whole[..cut]) == read),
            "{first} of {}",
            whole.len()
        );
        assert!(first > 60 && Validity::read(b"no certificate").is_none());
    }

    #[test]
    fn a_standing_changes_at_the_moments_that_it_names() {
        let validity = Validity {
            from: Timestamp(0),
            until: Timestamp(100 * DAY_MICROS),
        };
        let warned_from = (100 - EXPIRY_WARNING_DAYS) * DAY_MICROS;
        for (now, standing) in [
            (-1, CertificateStatus::Early),
            (0, CertificateStatus::Good),
            (warned_from, CertificateStatus::Good),
            (warned_from + 1, CertificateStatus::Expiring { days: 13 }),
            (100 * DAY_MICROS, CertificateStatus::Expiring { days: 0 }),
            (100 * DAY_MICROS + 1, CertificateStatus::Expired),
        ] {
            assert_eq!(validity.standing(Timestamp(now)), standing, "{now}");
        }
    }
}
