"""When too many batches have to be taken apart, it is no longer a matter of single accounts: the run stops."""

from dataclasses import dataclass

from exporter.errors import AttemptError, ServiceRefusal, Verdict
from exporter.model import Reply

BATCHES_MIN = 500
SHARE_MAX = 0.05


@dataclass(slots=True)
class Apart:
    """Counts whole batches, and those among them whose attempts ran out without an answer.

    `suspects` says that they were given up before: then their failures say nothing about the service.
    """

    suspects: bool = False
    batches: int = 0
    failed: int = 0
    last: str = ""

    def count(self, outcome: Reply | AttemptError) -> None:
        """Count what came of a whole batch. Raises ServiceRefusal when over 5 % of at least 500 failed for no reason."""
        self.batches += 1
        if isinstance(outcome, AttemptError) and outcome.verdict is Verdict.RETRY:
            self.failed += 1
            self.last = str(outcome)
        if not self.suspects and self.batches >= BATCHES_MIN and self.failed > SHARE_MAX * self.batches:
            raise ServiceRefusal(
                f"{self.failed:,} of {self.batches:,} batches got no answer in all their attempts and had to be taken"
                f" apart, while the service answered others: over {SHARE_MAX:.0%} is no matter of single accounts. Run the"
                f" same command again when the service is well, and ask the vendor's support if it stays. The last"
                f" failure: {self.last}"
            )
