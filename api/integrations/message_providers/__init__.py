"""What providers of messages tell of them in their own words, signed by them: SendGrid's events, Twilio's callbacks."""
