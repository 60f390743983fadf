"""Language models from basic operations: text in, trained and evaluated GPT out.

Nothing here knows who calls it: no orchestrator, no tracking server, no command line but the bare
door ``python -m gpt_core``. Read the rooms in the order of the data's way: ``text``,
``tokenizers``, ``data``, ``models``, ``generation``, ``interop``, ``evaluation``, ``training``,
``finetuning``.
"""
