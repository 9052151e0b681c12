from pathlib import Path

import msgspec
import pytest

from connector.errors import ConfigError
from connector.events import normalise
from connector.models import Store, manifest as manifests
from connector.models.mail import LABELS, NO_MAIL, mail_text, plugin
from connector.models.mail_testbed import MailTestbed
from connector.models.manifest import TechniqueThresholds
from connector.models.testbed import lay_bundle
from connector.types import Event, RawEvent, SourceRef


def event(data: dict[str, object]) -> Event:
    ref = SourceRef(siem="test", index="mail", id="1")
    return normalise(RawEvent(deployment="test", native_id="1", ref=ref, data=data))


def mail(subject: str, body: str, **more: object) -> Event:
    email = {"subject": subject, **more}
    return event({"event": {"category": ["email"]}, "email": email, "message": body})


@pytest.fixture
def member(tmp_path: Path):
    with MailTestbed(tmp_path) as bed:
        made = plugin.member(bed.spec(), bed.directory(), 1)
        yield made
        made.close()


@pytest.mark.parametrize(
    ("subject", "body", "text"),
    [
        ("Re: [ILUG] Sort code", "see http://a.example/x?id=1 or www.b.example", "sort code | see link or link"),
        ("hi", "to phishing@pot and Ann <ann@b.example>", "hi | to address and ann address"),
        ("hi", "yes ________________________ list mailing list", "hi | yes"),
        ("hi", f"ticket 20021122 {'x' * 50}", "hi | ticket n token"),
    ],
)
def test_only_the_words_of_a_mail_are_read(subject: str, body: str, text: str) -> None:
    assert mail_text(mail(subject, body).canonical) == text


def test_what_is_no_mail_is_given_no_score(member) -> None:
    scores, _ = member.score([event({"message": "password"})], {}, {})

    assert scores.p_malicious[0] != scores.p_malicious[0]
    assert scores.notes == ((NO_MAIL,),)


def test_a_sub_technique_needs_an_attachment_or_a_link(member) -> None:
    attached = {"attachments": [{"file": {"extension": "pdf"}}]}
    mails = [mail("a", "password"), mail("a", "password https://a.example/x"), mail("a", "password", **attached)]

    techniques = member.score(mails, {}, {})[0].techniques > 0.5

    assert techniques.tolist() == [[True, False, False], [True, False, True], [True, True, False]]


def test_an_attachment_is_part_of_the_key_for_the_words_do_not_tell_it(member) -> None:
    plain, attached = mail("a", "b"), mail("a", "b", attachments=[{"file": {"extension": "pdf"}}])

    assert plain.fingerprint == attached.fingerprint
    assert member.key(plain) != member.key(attached)


def test_other_labels_than_those_of_phishing_are_refused(tmp_path: Path) -> None:
    with MailTestbed(tmp_path) as bed, pytest.raises(ConfigError, match=r"its labels are T1566, T1566\.001"):
        plugin.member(
            manifests.MemberSpec(name="p", kind="phishing", directory="d", labels=("T1566",)), bed.directory(), 1
        )


def test_a_bundle_of_the_member_says_phishing_of_a_mail_and_abstains_elsewhere(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with MailTestbed(store / "mail" / "1") as bed:
        spec = manifests.MemberSpec(name="phishing", kind="phishing", directory="text", labels=LABELS)
        lay_bundle(store, name="mail", weights={"password": {"T1566": 8.0, "malicious": 8.0}})
        draft = manifests.read(store / "mail" / "1")
        limits = manifests.Thresholds(
            suspicious=0.3, malicious=0.6, trigger=0.9, techniques=TechniqueThresholds(default=0.5), false_alarms={}
        )
        manifests.seal(
            store / "mail" / "1",
            msgspec.structs.replace(draft, members=(spec,), labels=LABELS, thresholds=limits),
        )
        assert bed.directory().is_dir()
    bundle = Store(store).open("mail/1")

    found, other = bundle.predict([mail("a", "password www.a.example"), event({"message": "password"})], {})[0]

    (technique,) = found.techniques
    assert (technique.id, technique.subtechnique.id) == ("T1566", "T1566.002")
    assert found.p_malicious > 0.6
    assert other.abstain
    bundle.close()
