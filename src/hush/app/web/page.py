"""The page: what stands where, and who serves it. Each tab is a file of its own."""

import os
from pathlib import Path
from typing import Any

import gradio as gr

from hush.app.serving import HERE
from hush.app.web import guard
from hush.app.web.desk import Desk
from hush.errors import UserError

LOOK = Path(__file__).parent / "look.css"


class Page:
    """The page of a run or of a folder of runs."""

    def __init__(self, runs: str | os.PathLike[str], shared: bool = False) -> None:
        self.desk = Desk(guard.Runs(runs), shared)
        os.environ["GRADIO_TEMP_DIR"] = str(self.desk.folder / "cache")
        self.blocks = self._built()

    def serve(self, port: int | None = None) -> str:
        """Serve it in threads of its own; its address. Raises `UserError` for a port that is not
        free."""
        local = {*os.environ.get("NO_PROXY", "").split(","), HERE, "localhost"} - {""}
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(sorted(local))
        try:
            _, here, anywhere = self.blocks.launch(
                server_name=HERE,
                server_port=port,
                share=self.desk.shared,
                prevent_thread_lock=True,
                quiet=True,
                show_error=True,
                max_file_size=guard.BYTES,
                allowed_paths=[],
                ssr_mode=False,
                enable_monitoring=False,
                mcp_server=False,
                footer_links=[],
                theme=_theme(),
                css_paths=LOOK,
                app_kwargs={"middleware": _alone()},
            )
        except OSError as error:
            raise UserError(f"Port {port} of {HERE} is not free: leave --port out.") from error
        return (self.desk.shared and anywhere) or here

    def close(self) -> list[Path]:
        """Stop serving; the runs whose training goes on."""
        self.blocks.close(verbose=False)
        return self.desk.close()

    def _left(self, request: gr.Request) -> None:
        self.desk.leave(request.session_hash)

    def _built(self) -> Any:
        from hush.app.web import asking_tab, header, sampling_tab, schedule_tab, training_tab

        with gr.Blocks(title="hush", analytics_enabled=False, delete_cache=(600, 3600)) as blocks:
            chosen = header.built(self.desk)
            with gr.Tabs(elem_id="tabs"):
                with gr.Tab("Sample", id="sample"):
                    sampled = sampling_tab.built(self.desk, chosen)
                with gr.Tab("Ask", id="ask"):
                    asking_tab.built(self.desk, chosen)
                with gr.Tab("Schedule", id="schedule"):
                    schedule_tab.built(self.desk, chosen, sampled)
                with gr.Tab("Training", id="training"):
                    training_tab.built(self.desk, chosen)
            blocks.unload(self._left)
        return blocks.queue(default_concurrency_limit=1, max_size=16, api_open=False)


def _theme() -> Any:
    """Type that every machine has, so that no font is fetched."""
    return gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        radius_size="lg",
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    )


def _alone() -> list[Any]:
    """What makes a browser ask nothing of any other host, whatever the library's pages name."""
    from starlette.middleware import Middleware

    class Alone:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def guarded(message: Any) -> None:
                if message["type"] == "http.response.start":
                    rules = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
                    own = [(b"content-security-policy", rules.encode())]
                    own.append((b"referrer-policy", b"no-referrer"))
                    message = {**message, "headers": [*message.get("headers", ()), *own]}
                await send(message)

            await self.app(scope, receive, guarded if scope["type"] == "http" else send)

    return [Middleware(Alone)]
