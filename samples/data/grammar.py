# SPDX-License-Identifier: Apache-2.0
"""The sentences that make_data.py builds its sets from: written for this project, free to use with it.

Every meaning has wordings for training, left of `||`, and other wordings that only the held-back part uses.
Meanings with nothing on the left are never seen in training.
"""

SUPPORT = {
    "billing": """
I was charged twice for {item} | the same payment for {item} was booked two times | my bank account shows a double payment to you || money left my account two times for one purchase | you debited me again although everything was settled
there is a fee on my invoice that I do not recognise | my bill lists a charge nobody explained | please explain the extra {amount} euros on my bill || the statement shows an extra {amount} euros I know nothing about | what is this additional position of {amount} euros supposed to be
the invoice is higher than the price we agreed on | my monthly bill went up without notice | you charge me more than the price on your page || why do I pay more than what you advertise | the sum you want from me is not what the salesman promised
I need a corrected invoice with our company address | please issue the invoice again with my tax number | the name on the invoice is wrong || the receipt lacks the VAT id our accountant asks for | our bookkeeping rejects your document because the firm's name is wrong
the discount code was not taken off the total | my voucher was ignored when I paid | the coupon for {amount} euros did not work at the checkout || the ten percent coupon made no difference to what I owed | I entered a promo word and still had to hand over the full price
I have not received the refund for {item} | the money for {item} has not been paid back | how long does it take until I get my money back || I am still waiting to be reimbursed for {item} | when will I see the {amount} euros you owe me again
my credit card was declined when I tried to pay | the payment with my card is refused every time | the checkout does not accept my bank card || the bank says everything is fine yet your checkout rejects my Visa | I cannot settle what I owe since the transaction fails
I would like to pay by direct debit instead of credit card | can I change the payment method of my account | may I pay in monthly rates || please take the sum from my new bank account from now on | is it possible to switch to monthly instalments
you sent me a payment reminder although I had paid | I got a dunning letter for a bill that is settled | why am I asked for late fees || a collection agency writes to me about a sum I transferred weeks ago | why do you threaten me with late fees when the transfer went through
|| I was billed for a premium tariff I never asked for | the price on the receipt is in dollars instead of euros
|| could you explain how the prorated amount of {amount} euros came about | the deposit of {amount} euros does not show up as credit
""",
    "delivery": """
{item} has not arrived yet | I am still waiting for the parcel with {item} | my order should have been here on {day} || nothing has come so far although it should have been here on {day} | {item} never turned up at my door
the tracking page has shown no change for days | the tracking number does not work | where is my shipment right now || the shipment status has been stuck since {day} | according to the courier's website nobody knows that consignment
the parcel was delivered to the wrong address | the driver left my parcel with a stranger | my neighbour never got the package you left there || a house three streets away got what was meant for me | the carrier dropped it off at some neighbour I have never met
the box arrived damaged and {item} is broken | the package was crushed during transport | {item} was broken when I opened the package || the carton was soaked and torn open when the postman handed it over | {item} came in pieces because it was hardly wrapped
one article is missing from the parcel | only half of my order was in the box | you forgot to pack {item} || the carton held just two of the three things I bought | {item} was not inside although the packing slip lists it
you sent me the wrong size of {item} | I received a different article than I ordered | I ordered blue and got the wrong colour || there was something in the box that belongs to somebody else's order | what came is red but I picked blue
can I change the shipping address of my order | please send the parcel to my office instead | I have a new address, please send the goods there || I moved last week so the goods have to go to a new street | could the courier bring it to my workplace
how long does shipping to {place} take | do you deliver to {place} | when will my order reach {place} || when would {item} reach me if I live in {place} | is {place} covered by your couriers
the courier did not ring and took the parcel back | I was at home but the driver claimed nobody was there | the postman only left a card in the letterbox || they put a card in the letterbox without even trying the bell | the postman turned around at the gate and wrote absent
|| the pickup point was closed when I wanted to fetch {item} | the locker does not open and my box is inside
|| customs have been holding the consignment since {day} | please hold it at the depot until {day} because I am away
""",
    "technical": """
the app crashes when I open {page} | the program closes itself whenever I click on {page} | my phone hangs and I have to restart the app || the screen freezes as soon as I tap {page} | {page} makes everything hang and I have to restart my phone
I cannot log in with my password | the login fails with an unknown error | my user name and password are said to be invalid || it keeps telling me that my credentials are invalid | I am locked out although I typed everything correctly
{page} does not load in my browser | I only see a blank page on your website | the website is slow and the pictures do not load || the site stays white after the last update | {page} spins forever and never shows anything
{item} does not connect to the wireless network | {item} loses the connection every few minutes | I cannot pair {item} with my phone over bluetooth || the device drops off the wifi all the time | {item} cannot find our router any more
{item} does not turn on any more | {item} switches itself off after a minute | the display of {item} stays black || the thing is dead, no light, no sound | pressing the power button does nothing at all
the update stopped halfway with an error code | the installation of the new version fails | after the software update nothing works || since the newest firmware it reboots in a loop | setup aborts and says something about a missing file
the password reset email does not reach me | I do not get the code to confirm my phone | the link to reset my password is invalid || the link for a new passphrase has expired before I could use it | no verification text message shows up
my photos are not synchronised between two devices | the backup of my data does not finish | my files are not saved in the cloud || files I saved on the laptop are not on the tablet | the copy in the cloud is stuck at ninety percent
the battery of {item} is empty after an hour | {item} gets very hot while it is charging | the charger does not charge {item} || it runs out of power before lunch | {item} becomes so warm that I can hardly hold it
|| the sound crackles and the picture flickers during calls | the microphone is not recognised by my computer
|| the search field returns nonsense for every word I type | notifications pop up hours too late
""",
    "cancellation": """
I want to cancel my subscription at the end of the month | please cancel my contract at the next possible date | I hereby end my contract in {month} || kindly terminate our agreement as soon as the rules allow | I hereby give notice for the end of {month}
please delete my account and all my data | close my account for good | remove my profile from your system || I want to be removed from your system completely | erase everything you have stored about me and shut my profile
I would like to withdraw from the purchase of {item} | I want to return {item} and undo the order | I changed my mind and send {item} back || I have changed my mind about {item} and no longer want it | may I give {item} back within the fourteen days
please do not renew my membership automatically | stop the automatic renewal of my plan | my plan should end after this year || make sure it does not go on for another year | I do not wish the term to be extended in {month}
how can I end the free trial before it becomes a paid plan | I want to stop the trial version today | I will not continue after the test month || the test phase is enough for me so let it lapse | I have seen enough in the demo weeks and will not continue
what is the notice period of my contract | until when do I have to cancel | how many weeks before the end must I give notice || how many weeks ahead must I tell you that I am leaving | by which day does my notice have to reach you
I did not get a confirmation of my cancellation | please confirm that my contract has ended | did you receive my notice from {month} || nobody has answered the notice I sent in {month} | I still have no proof that you let me go
I am moving abroad and no longer need the service | I do not use the service any more and want to leave | another provider is cheaper so I am leaving you || we are closing our shop so there is no use for it from {month} on | a cheaper provider convinced me so this is goodbye
take me off the newsletter list | I want to unsubscribe from your mails | please stop sending me advertising || stop writing to me about offers every week | I am fed up with your advertising and want out
|| my father has died and his membership should end | please call off the order of {item} before it leaves your house
|| quitting seems impossible since there is no button for it | I revoke my consent and our relationship is over
""",
}
# Sentences around the point, alike in every class; several borrow the words of another one.
GREETINGS = ("Hello", "Hi", "Good morning", "Dear team", "Good evening", "Hi there", "Dear support", "To whom it may concern")
BEFORE = """
I ordered {item} last week | I have been a customer since {month} | I paid for {item} in {month} | I am writing from {place} | the delivery of {item} was quick, thank you | your app is really nice | I got your invoice in {month} without trouble | I had a subscription before | my order number is {number} | I bought {item} as a present || we have used {item} for two years | my customer number is {number} | the courier was friendly | setting up {item} went well | I renewed my contract in {month} | the price of {item} was fair | I called you on {day} | I like the new website | our office in {place} relies on you | I got {item} from a friend
"""
AFTER = """
Please help me | What should I do now | I would be glad about a quick answer | This is the second time I write | I am rather disappointed | Please call me back on {day} | Thank you in advance | It is urgent || Any advice is welcome | Who can look into it | Nobody answers the phone | I expect a reply by {day} | That can't be right | Let me know how to go on | Kind regards from {place} | It bothers me a lot
"""
ITEMS = """
the blue router | the headset | a desk lamp | the smart watch | the coffee machine | the keyboard | a loudspeaker | the tablet || the vacuum robot | the doorbell camera | a reading light | the fitness band | the printer | the kettle | the thermostat | the tablet
"""
PAGES = "the settings | the start page | my profile | the calendar || the shopping cart | the map | the photo gallery | the settings"
PLACES = "Hamburg | Lyon | Leeds | Vienna | Ghent || Porto | Krakow | Cork | Turin | Malmo | Leeds"
MONTHS = "January | March | May | June | September || February | April | August | October | December"
DAYS = "Monday | Wednesday | Friday || Tuesday | Thursday | Saturday"

SENTIMENT = {
    "positive": """
{thing} was wonderful | I enjoyed every minute of {thing} | {thing} made me happy || {thing} was a delight from start to finish | I had a marvellous time at {thing} | {thing} put a smile on my face
the staff were friendly and patient | everyone treated us kindly | the people were helpful || the hosts were charming and warm | we were welcomed like old friends | such attentive and polite people
it works exactly as promised | it does its job without any trouble | the quality is excellent || it runs perfectly and looks beautiful | superb quality all the way | everything about it is well made and reliable
it is worth every cent | the price is more than fair | good value for the money || a real bargain for something so lovely | I would gladly pay double | cheap and yet brilliant
I will certainly come back | I recommend it to all my friends | we want to do it again || we have already booked again | I praised it to my neighbours for a week | five stars and a big thank you
not bad at all, I was surprised | I did not expect it to be this good || my doubts were gone after five minutes | far better than I had feared
I love it | what a great day | a beautiful and moving evening || simply fantastic | I adored it | a gem, warm and funny
the food was delicious | the room was clean and quiet || dinner tasted heavenly | our room was spotless and cosy
|| hats off to the people behind this | if only everything were made with so much care
""",
    "negative": """
{thing} was terrible | I was bored during {thing} | {thing} made me angry || {thing} was dreadful from start to finish | I had a miserable time at {thing} | {thing} gave me a headache
the staff were rude and slow | nobody cared about us | the people were unhelpful || the hosts were arrogant and cold | we were treated like a nuisance | such careless and impolite people
it broke after two days | it never worked as promised | the quality is poor || it fails constantly and looks ugly | shoddy work all the way | everything about it is cheaply made and unreliable
it is far too expensive for what it is | I want my money back | a waste of money || a rip-off for something so awful | I regret every cent | costly and yet useless
I will never come back | I warn all my friends about it | we do not want to do it again || we left before the end | I complained about it to my neighbours for a week | one star and no thanks
not good at all, I was disappointed | I expected it to be much better || my hopes were gone after five minutes | far worse than I had feared
I hate it | what a horrible day | an ugly and annoying evening || simply disgusting | I loathed it | a mess, dull and silly
the food was cold and tasteless | the room was dirty and loud || dinner tasted foul | our room was filthy and smelled
|| the people behind this should be ashamed | it was a disaster nobody bothered to fix
""",
}
THINGS = """
the concert | our stay at the hotel | the film | the guided tour | dinner at the new place | the online course || the exhibition | the boat trip | the play | lunch on the terrace | the audio book | the workshop
"""
ASIDE = """
We went there on {day} | My sister had told me about it | It rained the whole afternoon | The place is near the station | I had read a lot about it | It was the first time for me || A colleague gave us the tickets | It took place in {place} | The room was full | We went with the children | I bought it online | Parking was not easy
"""
