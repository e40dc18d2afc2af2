"""papermill with a check on the kernel: cells may take hours, but a lost message ends the wait."""

import asyncio

from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.log import logger

ENGINE = "pg2"  # its name for papermill
SILENCE = 60  # seconds of waiting before checking the kernel's own reports


class SilentKernelError(DeadKernelError):
    """The kernel is idle, and its answer does not arrive."""


class Client(PapermillNotebookClient):
    """papermill's client, waiting for a cell as long as the kernel is working on it."""

    suspect = None  # the cell whose answer was missing at the last check

    def papermill_execute_cells(self):
        try:
            super().papermill_execute_cells()
        except KeyboardInterrupt:  # a kernel interrupted midway prints tracebacks
            self.shutdown_kernel = "immediate"
            raise

    async def _async_handle_timeout(self, timeout, cell=None):
        """nbclient calls this whenever `timeout` seconds pass without the answer to a cell, or to
        a request about the kernel itself (None), and keeps waiting if it returns."""
        await asyncio.sleep(1)  # after another answer nbclient calls again at once
        reports = {} if cell is None else cell.metadata.execution
        if "iopub.status.busy" in reports and "iopub.status.idle" not in reports:
            return
        if cell is None or cell is self.suspect:
            raise SilentKernelError
        self.suspect = cell  # its answer may be on the way


class WatchfulEngine(Engine):
    """Executes a notebook for papermill with a `Client`."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, start_timeout, config, env, **_):
        waits = {"startup_timeout": start_timeout, "timeout": SILENCE, "iopub_timeout": SILENCE}
        client = Client(nb_man, kernel_name=kernel_name, config=config, log=logger, **waits)
        client.execute(env=env)


papermill_engines.register(ENGINE, WatchfulEngine)
