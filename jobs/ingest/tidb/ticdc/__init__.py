"""TiCDC's storage sink: layout, schema files, the two protocols' readers."""
