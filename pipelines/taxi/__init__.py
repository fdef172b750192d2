"""Chicago taxi trips: will this rider tip more than a fifth of the fare? Real data, the example every TFX user knows."""
