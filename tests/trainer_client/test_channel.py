"""The channel to the trainer: new credentials count for new calls, and calls in hand end on theirs (R24)."""

import asyncio
from pathlib import Path

import grpc
import pytest

from clickstream.credentials.connection import Credentials
from clickstream.trainer_client.channel import TrainerAddress, TrainerChannel


def test_r24_a_new_token_counts_for_new_calls_and_the_old_channel_ends_with_its_last_call(tmp_path: Path) -> None:
    """R24: a file that changed gives a new channel; one that cannot be used, or is the same, changes nothing."""
    held = tmp_path / "token"
    held.write_text("one")

    async def rotate() -> None:
        channel = TrainerChannel(TrainerAddress("127.0.0.1:9", Credentials(token_file=held)))
        with channel.connection() as in_hand:
            assert in_hand.metadata == (("authorization", "Bearer one"),)
            channel.reload()
            with channel.connection() as same:
                assert same is in_hand
            held.write_text("")
            with pytest.raises(ValueError, match="one token"):
                channel.reload()
            held.write_text("two")
            channel.reload()
            with channel.connection() as later:
                assert later.metadata == (("authorization", "Bearer two"),)
            assert in_hand.channel.get_state() is not grpc.ChannelConnectivity.SHUTDOWN
        await asyncio.sleep(0.05)
        assert in_hand.channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN
        assert later.channel.get_state() is not grpc.ChannelConnectivity.SHUTDOWN
        await channel.close()

    asyncio.run(rotate())
