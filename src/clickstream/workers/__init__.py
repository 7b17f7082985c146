"""Work in the background, without a caller: training runs, the improvement queue, batches, promotions."""
