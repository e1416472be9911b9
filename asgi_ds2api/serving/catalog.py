"""The models of a gateway as one caller sees them: one check for every route."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from ..auth import Caller, check_model, check_upstream
from ..canonical import Model, ProtocolName
from ..errors import RequestError, UnknownModel
from ..routing import NO_MODEL, ModelTable, Target
from .means import Way


class Catalog:
    """What one caller may ask for.

    Args:
        models: Of the gateway.
        upstreams: By name.
        caller: Who asks; None: somebody who may ask for everything.
    """

    def __init__(self, models: ModelTable, upstreams: Mapping[str, Way], caller: Caller | None) -> None:
        self._models = models
        self._upstreams = upstreams
        self._caller = caller

    def targets(self, model: str, other_names: Sequence[str] = ()) -> tuple[Target, ...]:
        """Return who serves a model, in order of preference.

        Args:
            model: As asked.
            other_names: What it may be called as well; looked up where its own name is unknown.

        Raises:
            MalformedRequest: Not a name at all.
            UnknownModel: None of its names is known.
            Forbidden: Not to this caller.
        """
        targets, known_as = self._resolve(model, other_names)
        if self._caller is not None:
            check_model(self._caller, known_as)
        return targets

    def check_upstream(self, upstream: str) -> None:
        """Refuse an upstream of which the caller may ask nothing.

        Raises:
            Forbidden: That is so.
        """
        if self._caller is not None:
            check_upstream(self._caller, self._models.names_at(upstream))

    def protocols(self, model: str | None) -> set[ProtocolName] | None:
        """Return what the upstreams that serve a model speak; None: `model` is None. Raises as `targets`."""
        if model is None:
            return None
        return {self._upstreams[target.upstream].codec.NAME for target in self.targets(model)}

    def models(self) -> list[Model]:
        """Return what may be asked for, without the names that hold a wildcard."""
        return [model for model in self._models.names() if self._may_see(model.id, ())]

    def model(self, name: str, other_names: Sequence[str] = ()) -> Model:
        """Return one model. What may not be seen is unknown.

        Raises:
            UnknownModel: It is not there, or not for this caller.
        """
        if not self._may_see(name, other_names):
            raise UnknownModel(NO_MODEL, asked=name)
        first = self.targets(name, other_names)[0]
        facts = self._upstreams[first.upstream].profile.facts(first.model)
        return Model(id=name, owner=first.upstream, context_tokens=facts.context_tokens)

    def _resolve(self, model: str, other_names: Sequence[str]) -> tuple[tuple[Target, ...], str]:
        try:
            return self._models.resolve(model), model
        except UnknownModel:
            for name in other_names:
                with suppress(UnknownModel):
                    return self._models.resolve(name), name
            raise

    def _may_see(self, name: str, other_names: Sequence[str]) -> bool:
        try:
            self.targets(name, other_names)
        except RequestError:
            return False
        return True
