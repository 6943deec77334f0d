"""Functions of your own: a module here is ``custom.NAME`` to params.yaml.

An offset of ``kind: function`` names one as ``function: custom.NAME:callable``. The stages
run with ``src`` on the path of imports, so that what stands here is found without installing.
"""
