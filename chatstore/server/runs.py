"""Runs: begun, ended and cancelled over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header

from chatstore import Run
from chatstore.errors import ChatStoreError, RunOver, StorageError, StoreBusy
from chatstore.server.access import Readable, ServiceOf, Writable, Writing
from chatstore.server.desk import OpenRun, Submitted, ended_elsewhere, told_error
from chatstore.server.forms import Lease, Lost, RunBeginning, RunEnding, Runs, Submission
from chatstore.server.forms import Submitted as SubmittedForm
from chatstore.server.routes import Route
from chatstore.wire.described import Name
from chatstore.wire.names import keys_of

router: APIRouter = APIRouter(route_class=Route, tags=["runs"])


@router.get("/contexts/{context}/runs")
async def list_runs(history: Readable) -> Runs:
    """The runs of a history, in the order they started."""
    return Runs(runs=await history.runs())


@router.get("/contexts/{context}/runs/{run}")
async def read_run(history: Readable, run: Name) -> Run:
    """One run."""
    return await history.get_run(run)


@router.post("/contexts/{context}/runs", status_code=201)
async def begin_run(history: Writable, service: ServiceOf, given: RunBeginning) -> Run:
    """Starts a run; once, if it has an id. Who started it renews it through /leases; or else it is interrupted."""

    async def begin() -> Run:
        scope = history.run(parent_run_id=given.parent_run_id)
        scope.id = str(given.id) if given.id is not None else scope.id
        await scope.__aenter__()
        service.desk.open_run(OpenRun(scope.id, history.context_id, scope=scope))
        return await history.get_run(scope.id)

    with service.timed():
        key = None if given.id is None else str(given.id)
        return await service.once.do("run", history, key, given, begin)


@router.post("/contexts/{context}/runs/{run}/cancel")
async def cancel_run(history: Writable, run: Name) -> Run:
    """Stops a run: its writer's next write is refused. A run that has ended stays as it is."""
    return await history.cancel_run(run)


@router.post("/contexts/{context}/runs/{run}/end")
async def end_run(history: Writable, service: ServiceOf, run: Name, given: RunEnding) -> Run:
    """Ends a run that was started here. Ended so already, it stays as it is."""
    opened = service.desk.run(run, history.context_id)
    if opened is None:
        return _as_wanted(await history.get_run(run), given.state)
    try:
        with service.timed():
            await opened.end(given.state, given.usage, told_error(given.error))
    except StorageError:
        raise  # its end is stored later: until then it may be asked for again
    except RunOver:
        service.desk.drop_run(run)
        if (await history.get_run(run)).state != given.state:  # or else it is the same request once more
            raise
    except ChatStoreError:
        service.desk.drop_run(run)
        raise
    found = await history.get_run(run)
    if found.state == "running":
        raise StoreBusy(f"the end of run {run} is stored later, for the database did not take it now; ask again")
    service.desk.drop_run(run)
    return _as_wanted(found, given.state)


def _as_wanted(found: Run, state: str) -> Run:
    """A run that has ended, if it did so as its caller wants it to."""
    if found.state != state:
        raise ended_elsewhere(found, state)
    return found


@router.post("/contexts/{context}/submissions", status_code=201)
async def submit(
    history: Writable,
    service: ServiceOf,
    given: Submission,
    idempotency_key: Annotated[str | None, Header()] = None,
    context_keys: Annotated[str | None, Header()] = None,
) -> SubmittedForm:
    """Stores a user's message and starts the run that answers it, in one; once for each Idempotency-Key."""
    options = {**given.options(), "parent": given.parent, "key": given.key, "expect": given.expect}

    async def begin() -> SubmittedForm:
        work = Submitted()
        context = history.context_id if context_keys is None else keys_of(context_keys)
        handle = await service.store.submit(
            work, given.text, context=context, parent_run_id=given.parent_run_id, **options
        )
        work.handle = handle
        service.desk.open_run(OpenRun(handle.run.id, history.context_id, work=work))
        return SubmittedForm(run=handle.run, cursor=handle.cursor)

    with service.timed():
        return await service.once.do("submission", history, idempotency_key, given, begin)


@router.post("/leases")
async def renew_leases(access: Writing, service: ServiceOf, given: Lease) -> Lost:
    """Says what a caller still works on; the ids of what has ended meanwhile."""
    return Lost(lost=service.desk.renew(given.blocks, given.runs, access.reaches))
