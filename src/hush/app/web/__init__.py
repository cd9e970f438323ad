"""The page of `hush app`.

    guard ── wishes ── walking ──► drawing        what is asked, walked and shown
      └───── training ── curves ──┘               what is learnt, and how it goes
                    page: where each of them stands

Nothing below `page` and the tabs knows gradio.
"""
